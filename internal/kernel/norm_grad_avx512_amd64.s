//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// Both kernels walk p rows of c floats in the order of memory; the two sums live in memory, in the
// first-level cache: a row is wide enough to hide the store and reload behind the arithmetic.

// func affineSiLUGradAVX512(dz, dy, x, a, b, s1, s2 *float32, p, c int)
// for each row, channel { d = dy*silu'(x*a[c]+b[c]); dz = d; s1[c] += d; s2[c] += d*x }
TEXT ·affineSiLUGradAVX512(SB), NOSPLIT, $0-72
	MOVQ dz+0(FP), DI
	MOVQ dy+8(FP), R12
	MOVQ x+16(FP), SI
	MOVQ a+24(FP), R8
	MOVQ b+32(FP), R9
	MOVQ p+56(FP), R10
	MOVQ c+64(FP), R11
	MASKS512(R11)
	MOVQ s1+40(FP), AX
	MOVQ s2+48(FP), CX
	EXPCONSTS512

row:
	MOVQ   R11, BX
	XORQ   DX, DX
	KXNORW K1, K1, K1

four:
	CMPQ        BX, $64
	JLT         channel
	VMOVUPS     (R9)(DX*1), Z16          // b
	VMOVUPS     64(R9)(DX*1), Z17
	VMOVUPS     128(R9)(DX*1), Z18
	VMOVUPS     192(R9)(DX*1), Z19
	VMOVUPS     (R8)(DX*1), Z0           // a
	VMOVUPS     64(R8)(DX*1), Z1
	VMOVUPS     128(R8)(DX*1), Z2
	VMOVUPS     192(R8)(DX*1), Z3
	VFMADD231PS (SI)(DX*1), Z0, Z16      // z = x*a + b
	VFMADD231PS 64(SI)(DX*1), Z1, Z17
	VFMADD231PS 128(SI)(DX*1), Z2, Z18
	VFMADD231PS 192(SI)(DX*1), Z3, Z19
	SILUSLOPE512X4
	VMULPS      (R12)(DX*1), Z12, Z12    // d = dy*slope
	VMULPS      64(R12)(DX*1), Z13, Z13
	VMULPS      128(R12)(DX*1), Z14, Z14
	VMULPS      192(R12)(DX*1), Z15, Z15
	VMOVUPS     (CX)(DX*1), Z0           // s2
	VMOVUPS     64(CX)(DX*1), Z1
	VMOVUPS     128(CX)(DX*1), Z2
	VMOVUPS     192(CX)(DX*1), Z3
	VADDPS      (AX)(DX*1), Z12, Z4      // s1 + d
	VADDPS      64(AX)(DX*1), Z13, Z5
	VADDPS      128(AX)(DX*1), Z14, Z6
	VADDPS      192(AX)(DX*1), Z15, Z7
	VFMADD231PS (SI)(DX*1), Z12, Z0      // s2 + d*x
	VFMADD231PS 64(SI)(DX*1), Z13, Z1
	VFMADD231PS 128(SI)(DX*1), Z14, Z2
	VFMADD231PS 192(SI)(DX*1), Z15, Z3
	VMOVUPS     Z12, (DI)(DX*1)
	VMOVUPS     Z13, 64(DI)(DX*1)
	VMOVUPS     Z14, 128(DI)(DX*1)
	VMOVUPS     Z15, 192(DI)(DX*1)
	VMOVUPS     Z4, (AX)(DX*1)
	VMOVUPS     Z5, 64(AX)(DX*1)
	VMOVUPS     Z6, 128(AX)(DX*1)
	VMOVUPS     Z7, 192(AX)(DX*1)
	VMOVUPS     Z0, (CX)(DX*1)
	VMOVUPS     Z1, 64(CX)(DX*1)
	VMOVUPS     Z2, 128(CX)(DX*1)
	VMOVUPS     Z3, 192(CX)(DX*1)
	ADDQ        $256, DX
	SUBQ        $64, BX
	JMP         four

channel:
	TESTQ BX, BX
	JLE   next
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z   (SI)(DX*1), K1, Z5   // x
	VMOVUPS.Z   (R8)(DX*1), K1, Z1   // a
	VMOVUPS.Z   (R9)(DX*1), K1, Z0   // b
	VFMADD231PS Z5, Z1, Z0           // z = x*a + b
	SILUSLOPE512(Z0, Z1, Z2, Z3, Z4)
	VMOVUPS.Z   (R12)(DX*1), K1, Z6  // dy
	VMULPS      Z4, Z6, Z6           // d = dy*slope
	VMOVUPS.Z   (AX)(DX*1), K1, Z7   // s1
	VMOVUPS.Z   (CX)(DX*1), K1, Z8   // s2
	VADDPS      Z6, Z7, Z7           // s1 += d
	VFMADD231PS Z5, Z6, Z8           // s2 += d*x
	VMOVUPS     Z6, K1, (DI)(DX*1)
	VMOVUPS     Z7, K1, (AX)(DX*1)
	VMOVUPS     Z8, K1, (CX)(DX*1)
	ADDQ        $64, DX
	SUBQ        $16, BX
	JMP         channel

next:
	LEAQ (SI)(R11*4), SI
	LEAQ (DI)(R11*4), DI
	LEAQ (R12)(R11*4), R12
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET

// func affineGradAVX512(dz, dy, x, s1, s2 *float32, p, c int)
// for each row, channel { dz = dy; s1[c] += dy; s2[c] += dy*x }
TEXT ·affineGradAVX512(SB), NOSPLIT, $0-56
	MOVQ dz+0(FP), DI
	MOVQ dy+8(FP), R12
	MOVQ x+16(FP), SI
	MOVQ p+40(FP), R10
	MOVQ c+48(FP), R11
	MASKS512(R11)
	MOVQ s1+24(FP), AX
	MOVQ s2+32(FP), CX

row:
	MOVQ   R11, BX
	XORQ   DX, DX
	KXNORW K1, K1, K1

channel:
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z   (SI)(DX*1), K1, Z5  // x
	VMOVUPS.Z   (R12)(DX*1), K1, Z6 // dy
	VMOVUPS.Z   (AX)(DX*1), K1, Z7  // s1
	VMOVUPS.Z   (CX)(DX*1), K1, Z8  // s2
	VADDPS      Z6, Z7, Z7          // s1 += dy
	VFMADD231PS Z5, Z6, Z8          // s2 += dy*x
	VMOVUPS     Z6, K1, (DI)(DX*1)
	VMOVUPS     Z7, K1, (AX)(DX*1)
	VMOVUPS     Z8, K1, (CX)(DX*1)
	ADDQ        $64, DX
	SUBQ        $16, BX
	JG          channel
	LEAQ        (SI)(R11*4), SI
	LEAQ        (DI)(R11*4), DI
	LEAQ        (R12)(R11*4), R12
	DECQ        R10
	JNZ         row
	VZEROUPPER
	RET
