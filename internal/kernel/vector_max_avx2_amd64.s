//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// Both do 8 floats a turn; what is left goes under the mask Y12. They wait for memory, so that AVX-512 has none of its own.

// func maxAVX2(dst, x, y *float32, n int)
// for i < n { dst[i] = max(x[i], y[i]) }
TEXT ·maxAVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ y+16(FP), R8
	MOVQ n+24(FP), BX
	XORQ DX, DX        // byte offset
	MASK256(BX, Y12)

loop:
	SUBQ    $8, BX
	JLT     tail
	VMOVUPS (SI)(DX*1), Y0
	VMOVUPS (R8)(DX*1), Y1
	VCMPPS  $3, Y1, Y1, Y2     // ones where y is NaN
	VMAXPS  Y0, Y1, Y0         // x if that is NaN
	VORPS   Y2, Y0, Y0         // a NaN where y is one
	VMOVUPS Y0, (DI)(DX*1)
	ADDQ    $32, DX
	JMP     loop

tail:
	ADDQ       $8, BX
	JEQ        done
	VMASKMOVPS (SI)(DX*1), Y12, Y0
	VMASKMOVPS (R8)(DX*1), Y12, Y1
	VCMPPS     $3, Y1, Y1, Y2
	VMAXPS     Y0, Y1, Y0
	VORPS      Y2, Y0, Y0
	VMASKMOVPS Y0, Y12, (DI)(DX*1)

done:
	VZEROUPPER
	RET

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
