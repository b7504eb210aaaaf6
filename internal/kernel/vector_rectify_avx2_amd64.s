//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// 8 floats a turn; what is left of a row goes under the mask Y12. It waits for memory, so that AVX-512 has none of its own.

// func rectifyAVX2(x *float32, stride, rows, cols int)
// for r < rows, i < cols { x[r*stride+i] = max(0, x[r*stride+i]) }
TEXT ·rectifyAVX2(SB), NOSPLIT, $0-32
	MOVQ   x+0(FP), DI
	MOVQ   stride+8(FP), R8
	MOVQ   cols+24(FP), R9
	SHLQ   $2, R8              // stride in bytes
	VXORPS Y3, Y3, Y3
	MASK256(R9, Y12)
	MOVQ   rows+16(FP), CX

row:
	MOVQ R9, BX
	MOVQ DI, SI

loop:
	SUBQ    $8, BX
	JLT     tail
	VMAXPS  (SI), Y3, Y0       // x if that is NaN
	VMOVUPS Y0, (SI)
	ADDQ    $32, SI
	JMP     loop

tail:
	ADDQ       $8, BX
	JEQ        next
	VMASKMOVPS (SI), Y12, Y0
	VMAXPS     Y0, Y3, Y0
	VMASKMOVPS Y0, Y12, (SI)

next:
	ADDQ R8, DI
	DECQ CX
	JNZ  row
	VZEROUPPER
	RET
