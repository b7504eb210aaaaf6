//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// The kernels of this file walk p rows of c floats in the order of memory, 16 floats a turn; per-channel
// coefficients come from the first-level cache. DX is the byte offset in the row, BX the channels
// left, K1 the lanes in use: all of them, or K2 in the last turn of a row.

// func affineAVX512(dst, x, a, b *float32, p, c int)
// for each row, channel { dst = x*a[c] + b[c] }
TEXT ·affineAVX512(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ a+16(FP), R8
	MOVQ b+24(FP), R9
	MOVQ p+32(FP), R10
	MOVQ c+40(FP), R11
	MASKS512(R11)

row:
	MOVQ   R11, BX
	XORQ   DX, DX
	KXNORW K1, K1, K1

channel:
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z   (SI)(DX*1), K1, Z0
	VMOVUPS.Z   (R8)(DX*1), K1, Z1
	VMOVUPS.Z   (R9)(DX*1), K1, Z2
	VFMADD213PS Z2, Z1, Z0         // x*a + b
	VMOVUPS     Z0, K1, (DI)(DX*1)
	ADDQ        $64, DX
	SUBQ        $16, BX
	JG          channel
	LEAQ        (SI)(R11*4), SI
	LEAQ        (DI)(R11*4), DI
	DECQ        R10
	JNZ         row
	VZEROUPPER
	RET

// func affineSiLUAVX512(dst, x, a, b *float32, p, c int)
// for each row, channel { dst = silu(x*a[c] + b[c]) }
TEXT ·affineSiLUAVX512(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ a+16(FP), R8
	MOVQ b+24(FP), R9
	MOVQ p+32(FP), R10
	MOVQ c+40(FP), R11
	MASKS512(R11)
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
	VMOVUPS.Z   (SI)(DX*1), K1, Z0
	VMOVUPS.Z   (R8)(DX*1), K1, Z1
	VMOVUPS.Z   (R9)(DX*1), K1, Z2
	VFMADD213PS Z2, Z1, Z0         // z = x*a + b
	SILU512(Z0, Z1, Z2, Z3, Z4)
	VMOVUPS     Z0, K1, (DI)(DX*1)
	ADDQ        $64, DX
	SUBQ        $16, BX
	JG          channel
	LEAQ        (SI)(R11*4), SI
	LEAQ        (DI)(R11*4), DI
	DECQ        R10
	JNZ         row
	VZEROUPPER
	RET

// func affineAddGradAVX512(dx, dz, x, ca, cb, cc *float32, p, c int)
// for each row, channel { dx += dz*ca[c] + x*cb[c] + cc[c] }
TEXT ·affineAddGradAVX512(SB), NOSPLIT, $0-64
	MOVQ dx+0(FP), DI
	MOVQ dz+8(FP), R12
	MOVQ x+16(FP), SI
	MOVQ ca+24(FP), R8
	MOVQ cb+32(FP), R9
	MOVQ cc+40(FP), R13
	MOVQ p+48(FP), R10
	MOVQ c+56(FP), R11
	MASKS512(R11)

row:
	MOVQ   R11, BX
	XORQ   DX, DX
	KXNORW K1, K1, K1

channel:
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z   (R13)(DX*1), K1, Z0 // cc
	VMOVUPS.Z   (R12)(DX*1), K1, Z1 // dz
	VMOVUPS.Z   (R8)(DX*1), K1, Z2  // ca
	VMOVUPS.Z   (SI)(DX*1), K1, Z3  // x
	VMOVUPS.Z   (R9)(DX*1), K1, Z4  // cb
	VMOVUPS.Z   (DI)(DX*1), K1, Z5  // dx
	VFMADD231PS Z1, Z2, Z0          // + dz*ca
	VFMADD231PS Z3, Z4, Z0          // + x*cb
	VADDPS      Z0, Z5, Z0          // + dx
	VMOVUPS     Z0, K1, (DI)(DX*1)
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

// func addChannelsAVX512(dst, x, e *float32, p, c int)
// for each row, channel { dst = x + e[c] }
TEXT ·addChannelsAVX512(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ e+16(FP), R8
	MOVQ p+24(FP), R10
	MOVQ c+32(FP), R11
	MASKS512(R11)

row:
	MOVQ   R11, BX
	XORQ   DX, DX
	KXNORW K1, K1, K1

channel:
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z (SI)(DX*1), K1, Z0
	VMOVUPS.Z (R8)(DX*1), K1, Z1
	VADDPS    Z1, Z0, Z0         // x + e
	VMOVUPS   Z0, K1, (DI)(DX*1)
	ADDQ      $64, DX
	SUBQ      $16, BX
	JG        channel
	LEAQ      (SI)(R11*4), SI
	LEAQ      (DI)(R11*4), DI
	DECQ      R10
	JNZ       row
	VZEROUPPER
	RET
