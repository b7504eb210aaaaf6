//go:build !noasm

#include "textflag.h"

// Y D = Z S rounded to bfloat16 (VCVTNEPS2BF16, which the assembler has no name for)
#define NARROW(S, D) BYTE $0x62; BYTE $0xF2; BYTE $0x7E; BYTE $0x48; BYTE $0x72; BYTE $(0xC0|(D)<<3|(S))

// K1 and K2 = which of 16 floats, and of the next 16, are among the first N; CX and T are lost
#define MASKS(N, T) \
	MOVQ  N, CX     \
	MOVQ  $1, T     \
	SHLQ  CX, T     \
	DECQ  T         \
	KMOVW T, K1     \
	SHRQ  $16, T    \
	KMOVW T, K2

// func amxNarrowAVX512(dst *uint16, split int, src *float32, ld, rows, cols int)
// for r < rows, c < 32 { dst[32*r+c] = bf16(v), dst[split+32*r+c] = bf16(v - dst[32*r+c]) for v = c < cols ? src[r*ld+c] : 0 }
TEXT ·amxNarrowAVX512(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ split+8(FP), DX
	MOVQ src+16(FP), SI
	MOVQ ld+24(FP), R8
	MOVQ rows+32(FP), R9
	MOVQ cols+40(FP), AX
	SHLQ $2, R8              // ld in bytes
	MASKS(AX, R10)
	TESTQ DX, DX
	JNZ   both

row:
	VMOVUPS.Z (SI), K1, Z0
	VMOVUPS.Z 64(SI), K2, Z1
	NARROW(0, 2)             // Y2 = bf16(Z0)
	NARROW(1, 3)             // Y3 = bf16(Z1)
	VMOVDQU   Y2, (DI)
	VMOVDQU   Y3, 32(DI)
	ADDQ      R8, SI
	ADDQ      $64, DI
	DECQ      R9
	JNZ       row
	VZEROUPPER
	RET

both:
	LEAQ (DI)(DX*2), DX      // where the smaller parts go

row2:
	VMOVUPS.Z (SI), K1, Z0
	VMOVUPS.Z 64(SI), K2, Z1
	NARROW(0, 2)
	NARROW(1, 3)
	VMOVDQU   Y2, (DI)
	VMOVDQU   Y3, 32(DI)
	VPMOVZXWD Y2, Z4
	VPMOVZXWD Y3, Z5
	VPSLLD    $16, Z4, Z4    // the larger part as a float
	VPSLLD    $16, Z5, Z5
	VSUBPS    Z4, Z0, Z0     // what it leaves
	VSUBPS    Z5, Z1, Z1
	NARROW(0, 2)
	NARROW(1, 3)
	VMOVDQU   Y2, (DX)
	VMOVDQU   Y3, 32(DX)
	ADDQ      R8, SI
	ADDQ      $64, DI
	ADDQ      $64, DX
	DECQ      R9
	JNZ       row2
	VZEROUPPER
	RET

// Z8, Z9 = pairs of bf16 of two rows Z0, Z1 and Z2, Z3, the first row's in the lower halves; Z6, Z7 = the second row's as floats
#define INTERLEAVE \
	NARROW(0, 4)             \
	NARROW(1, 5)             \
	NARROW(2, 6)             \
	NARROW(3, 7)             \
	VPMOVZXWD Y4, Z4         \
	VPMOVZXWD Y5, Z5         \
	VPMOVZXWD Y6, Z6         \
	VPMOVZXWD Y7, Z7         \
	VPSLLD    $16, Z6, Z6    \
	VPSLLD    $16, Z7, Z7    \
	VPORD     Z4, Z6, Z8     \
	VPORD     Z5, Z7, Z9

// func amxPairAVX512(dst *uint16, split int, src *float32, ld, rows, cols int)
// for k, j < 32 { dst[split + j/16*512+k/2*32+j%16*2+k%2] = bf16(v) and, if split != 0, dst[the same, less split] = bf16(v - bf16(v)),
//                 for v = k < rows && j < cols ? src[k*ld+j] : 0 }
TEXT ·amxPairAVX512(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ split+8(FP), DX
	MOVQ src+16(FP), SI
	MOVQ ld+24(FP), R8
	MOVQ rows+32(FP), R9
	MOVQ cols+40(FP), AX
	SHLQ $2, R8              // ld in bytes
	SHLQ $1, DX              // split in bytes
	MASKS(AX, R10)
	MOVQ $16, R11            // pairs of rows left

pair:
	VPXORD Z0, Z0, Z0        // Z0, Z1: the first row
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2        // Z2, Z3: the second
	VPXORD Z3, Z3, Z3
	TESTQ  R9, R9
	JZ     have
	VMOVUPS.Z (SI), K1, Z0
	VMOVUPS.Z 64(SI), K2, Z1
	ADDQ   R8, SI
	DECQ   R9
	JZ     have
	VMOVUPS.Z (SI), K1, Z2
	VMOVUPS.Z 64(SI), K2, Z3
	ADDQ   R8, SI
	DECQ   R9

have:
	INTERLEAVE
	VMOVDQU32 Z8, (DI)(DX*1)     // columns 0..15
	VMOVDQU32 Z9, 1024(DI)(DX*1) // columns 16..31
	TESTQ     DX, DX
	JZ        next
	VPSLLD    $16, Z4, Z4
	VPSLLD    $16, Z5, Z5
	VSUBPS    Z4, Z0, Z0     // what the larger parts leave
	VSUBPS    Z5, Z1, Z1
	VSUBPS    Z6, Z2, Z2
	VSUBPS    Z7, Z3, Z3
	INTERLEAVE
	VMOVDQU32 Z8, (DI)
	VMOVDQU32 Z9, 1024(DI)

next:
	ADDQ $64, DI
	DECQ R11
	JNZ  pair
	VZEROUPPER
	RET

// func copyRowsAVX512(dst *float32, dstStride int, src *float32, srcStride, rows int)
// for r < rows, c < 32 { dst[r*dstStride+c] = src[r*srcStride+c] }
TEXT ·copyRowsAVX512(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ dstStride+8(FP), R8
	MOVQ src+16(FP), SI
	MOVQ srcStride+24(FP), R9
	MOVQ rows+32(FP), CX
	SHLQ $2, R8              // strides in bytes
	SHLQ $2, R9

row:
	VMOVUPS (SI), Z0
	VMOVUPS 64(SI), Z1
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	ADDQ    R9, SI
	ADDQ    R8, DI
	DECQ    CX
	JNZ     row
	VZEROUPPER
	RET
