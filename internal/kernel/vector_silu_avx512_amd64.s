//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// func siluAVX512(dst, x *float32, n int)
// for i < n { dst[i] = silu(x[i]) }
TEXT ·siluAVX512(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), BX
	MASKS512(BX)
	EXPCONSTS512

loop:
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z (SI), K1, Z0
	SILU512(Z0, Z1, Z2, Z3, Z4)
	VMOVUPS   Z0, K1, (DI)
	ADDQ      $64, SI
	ADDQ      $64, DI
	SUBQ      $16, BX
	JG        loop
	VZEROUPPER
	RET

// func siluGradAVX512(dx, dy, x *float32, n int)
// for i < n { dx[i] += dy[i]*silu'(x[i]) }
TEXT ·siluGradAVX512(SB), NOSPLIT, $0-32
	MOVQ dx+0(FP), DI
	MOVQ dy+8(FP), R8
	MOVQ x+16(FP), SI
	MOVQ n+24(FP), BX
	MASKS512(BX)
	XORQ DX, DX
	EXPCONSTS512

loop:
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z   (SI)(DX*1), K1, Z0
	SILUSLOPE512(Z0, Z1, Z2, Z3, Z4)
	VMOVUPS.Z   (R8)(DX*1), K1, Z5
	VMOVUPS.Z   (DI)(DX*1), K1, Z6
	VFMADD231PS Z4, Z5, Z6           // dx + dy*slope
	VMOVUPS     Z6, K1, (DI)(DX*1)
	ADDQ        $64, DX
	SUBQ        $16, BX
	JG          loop
	VZEROUPPER
	RET
