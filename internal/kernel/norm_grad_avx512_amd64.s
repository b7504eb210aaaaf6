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

channel:
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
	JG          channel
	LEAQ        (SI)(R11*4), SI
	LEAQ        (DI)(R11*4), DI
	LEAQ        (R12)(R11*4), R12
	DECQ        R10
	JNZ         row
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
