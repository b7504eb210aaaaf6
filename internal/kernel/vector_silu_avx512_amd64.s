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

four:
	CMPQ    BX, $64
	JLT     one
	VMOVUPS (SI), Z16
	VMOVUPS 64(SI), Z17
	VMOVUPS 128(SI), Z18
	VMOVUPS 192(SI), Z19
	SILU512X4
	VMOVUPS Z16, (DI)
	VMOVUPS Z17, 64(DI)
	VMOVUPS Z18, 128(DI)
	VMOVUPS Z19, 192(DI)
	ADDQ    $256, SI
	ADDQ    $256, DI
	SUBQ    $64, BX
	JMP     four

one:
	TESTQ BX, BX
	JLE   done
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
	JMP       one

done:
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

four:
	CMPQ        BX, $64
	JLT         one
	VMOVUPS     (SI)(DX*1), Z16
	VMOVUPS     64(SI)(DX*1), Z17
	VMOVUPS     128(SI)(DX*1), Z18
	VMOVUPS     192(SI)(DX*1), Z19
	SILUSLOPE512X4
	VMOVUPS     (DI)(DX*1), Z0
	VMOVUPS     64(DI)(DX*1), Z1
	VMOVUPS     128(DI)(DX*1), Z2
	VMOVUPS     192(DI)(DX*1), Z3
	VFMADD231PS (R8)(DX*1), Z12, Z0    // dx + dy*slope
	VFMADD231PS 64(R8)(DX*1), Z13, Z1
	VFMADD231PS 128(R8)(DX*1), Z14, Z2
	VFMADD231PS 192(R8)(DX*1), Z15, Z3
	VMOVUPS     Z0, (DI)(DX*1)
	VMOVUPS     Z1, 64(DI)(DX*1)
	VMOVUPS     Z2, 128(DI)(DX*1)
	VMOVUPS     Z3, 192(DI)(DX*1)
	ADDQ        $256, DX
	SUBQ        $64, BX
	JMP         four

one:
	TESTQ BX, BX
	JLE   done
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
	JMP         one

done:
	VZEROUPPER
	RET
