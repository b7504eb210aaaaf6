//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// func addStridedAVX512(dst, src *float32, dstStride, srcStride, rows, cols int, a float32)
// for r < rows { for i < cols { dst[r*dstStride+i] += a*src[r*srcStride+i] } }
TEXT ·addStridedAVX512(SB), NOSPLIT, $0-52
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         dstStride+16(FP), R8
	MOVQ         srcStride+24(FP), R9
	MOVQ         rows+32(FP), R10
	MOVQ         cols+40(FP), R11
	VBROADCASTSS a+48(FP), Z4
	SHLQ         $2, R8               // strides in bytes
	SHLQ         $2, R9
	MASKS512(R11)

row:
	MOVQ   R11, BX    // BX = columns left
	XORQ   DX, DX     // DX = byte offset in the row
	KXNORW K1, K1, K1

four:
	CMPQ        BX, $64
	JLT         one
	VMOVUPS     (DI)(DX*1), Z0
	VMOVUPS     64(DI)(DX*1), Z1
	VMOVUPS     128(DI)(DX*1), Z2
	VMOVUPS     192(DI)(DX*1), Z3
	VFMADD231PS (SI)(DX*1), Z4, Z0    // d += a*s
	VFMADD231PS 64(SI)(DX*1), Z4, Z1
	VFMADD231PS 128(SI)(DX*1), Z4, Z2
	VFMADD231PS 192(SI)(DX*1), Z4, Z3
	VMOVUPS     Z0, (DI)(DX*1)
	VMOVUPS     Z1, 64(DI)(DX*1)
	VMOVUPS     Z2, 128(DI)(DX*1)
	VMOVUPS     Z3, 192(DI)(DX*1)
	ADDQ        $256, DX
	SUBQ        $64, BX
	JMP         four

one:
	TESTQ BX, BX
	JLE   next
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z   (DI)(DX*1), K1, Z0
	VMOVUPS.Z   (SI)(DX*1), K1, Z1
	VFMADD231PS Z1, Z4, Z0         // d += a*s
	VMOVUPS     Z0, K1, (DI)(DX*1)
	ADDQ        $64, DX
	SUBQ        $16, BX
	JMP         one

next:
	ADDQ R8, DI
	ADDQ R9, SI
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET

// The flat loops that follow do 16 floats a turn, the last turn under the mask K2.

// func scaleAVX512(dst, x *float32, n int, a float32)
// for i < n { dst[i] = a*x[i] }
TEXT ·scaleAVX512(SB), NOSPLIT, $0-28
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         n+16(FP), BX
	VBROADCASTSS a+24(FP), Z4
	MASKS512(BX)

loop:
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z (SI), K1, Z0
	VMULPS    Z0, Z4, Z0   // a*x
	VMOVUPS   Z0, K1, (DI)
	ADDQ      $64, SI
	ADDQ      $64, DI
	SUBQ      $16, BX
	JG        loop
	VZEROUPPER
	RET

// func addAVX512(dst, x, y *float32, n int, a, b float32)
// for i < n { dst[i] = a*x[i] + b*y[i] }
TEXT ·addAVX512(SB), NOSPLIT, $0-40
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         y+16(FP), R8
	MOVQ         n+24(FP), BX
	VBROADCASTSS a+32(FP), Z4
	VBROADCASTSS b+36(FP), Z5
	MASKS512(BX)
	XORQ         DX, DX

loop:
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z   (SI)(DX*1), K1, Z0
	VMOVUPS.Z   (R8)(DX*1), K1, Z1
	VMULPS      Z1, Z5, Z1         // b*y
	VFMADD231PS Z0, Z4, Z1         // + a*x
	VMOVUPS     Z1, K1, (DI)(DX*1)
	ADDQ        $64, DX
	SUBQ        $16, BX
	JG          loop
	VZEROUPPER
	RET

// func mulAVX512(dst, x, y *float32, n int)
// for i < n { dst[i] = x[i]*y[i] }
TEXT ·mulAVX512(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ y+16(FP), R8
	MOVQ n+24(FP), BX
	MASKS512(BX)
	XORQ DX, DX

loop:
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z (SI)(DX*1), K1, Z0
	VMOVUPS.Z (R8)(DX*1), K1, Z1
	VMULPS    Z1, Z0, Z0         // x*y
	VMOVUPS   Z0, K1, (DI)(DX*1)
	ADDQ      $64, DX
	SUBQ      $16, BX
	JG        loop
	VZEROUPPER
	RET

// func lerpAVX512(dst, x *float32, n int, beta float32)
// for i < n { dst[i] = x[i] + beta*(dst[i]-x[i]) }
TEXT ·lerpAVX512(SB), NOSPLIT, $0-28
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         n+16(FP), BX
	VBROADCASTSS beta+24(FP), Z4
	MASKS512(BX)

loop:
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z   (SI), K1, Z0
	VMOVUPS.Z   (DI), K1, Z1
	VSUBPS      Z0, Z1, Z1   // dst - x
	VFMADD231PS Z1, Z4, Z0   // x + beta*(dst-x)
	VMOVUPS     Z0, K1, (DI)
	ADDQ        $64, SI
	ADDQ        $64, DI
	SUBQ        $16, BX
	JG          loop
	VZEROUPPER
	RET
