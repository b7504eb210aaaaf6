//go:build !noasm

#include "textflag.h"

// Blocks of 8×8 floats: eight columns of src, sj apart, become eight rows of dst, ld apart.
// SI      src, column 0          BX      src, column 4
// R8      sj in bytes, R9 = 3*sj
// DI      dst, row 0             DX      dst, row 4
// R10     ld in bytes, R11 = 3*ld

// Four rows of dst from the runs of four floats at byte off of the eight columns.
#define FOUR(off, d) \
	VMOVUPS     off(SI), X0              \ // y0[0..3] = column 0
	VMOVUPS     off(SI)(R8*1), X1        \
	VMOVUPS     off(SI)(R8*2), X2        \
	VMOVUPS     off(SI)(R9*1), X3        \
	VINSERTF128 $1, off(BX), Y0, Y0      \ // y0[4..7] = column 4
	VINSERTF128 $1, off(BX)(R8*1), Y1, Y1 \
	VINSERTF128 $1, off(BX)(R8*2), Y2, Y2 \
	VINSERTF128 $1, off(BX)(R9*1), Y3, Y3 \
	VUNPCKLPS   Y1, Y0, Y4               \ // rows 0 and 1 of columns 0, 1 | 4, 5
	VUNPCKHPS   Y1, Y0, Y5               \ // rows 2 and 3
	VUNPCKLPS   Y3, Y2, Y6               \ // rows 0 and 1 of columns 2, 3 | 6, 7
	VUNPCKHPS   Y3, Y2, Y7               \
	VUNPCKLPD   Y6, Y4, Y0               \ // row 0
	VUNPCKHPD   Y6, Y4, Y1               \ // row 1
	VUNPCKLPD   Y7, Y5, Y2               \ // row 2
	VUNPCKHPD   Y7, Y5, Y3               \ // row 3
	VMOVUPS     Y0, (d)                  \
	VMOVUPS     Y1, (d)(R10*1)           \
	VMOVUPS     Y2, (d)(R10*2)           \
	VMOVUPS     Y3, (d)(R11*1)

// func transpose8(dst *float32, ld int, src *float32, sj, blocks int)
TEXT ·transpose8(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ ld+8(FP), R10
	MOVQ src+16(FP), SI
	MOVQ sj+24(FP), R8
	MOVQ blocks+32(FP), CX
	SHLQ $2, R10              // ld in bytes
	SHLQ $2, R8               // sj in bytes
	LEAQ (R10)(R10*2), R11    // 3*ld
	LEAQ (R8)(R8*2), R9       // 3*sj
	LEAQ (SI)(R8*4), BX       // column 4
	LEAQ (DI)(R10*4), DX      // row 4

block:                        // for CX = blocks; CX > 0; CX--
	FOUR(0, DI)
	FOUR(16, DX)
	ADDQ $32, SI              // the next eight rows
	ADDQ $32, BX
	LEAQ (DI)(R10*8), DI
	LEAQ (DX)(R10*8), DX
	DECQ CX
	JNZ  block
	VZEROUPPER
	RET
