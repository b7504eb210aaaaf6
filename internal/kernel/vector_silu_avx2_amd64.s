//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// func siluAVX2(dst, x *float32, n int)
// for i < n { dst[i] = silu(x[i]) }
TEXT ·siluAVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), BX
	XORQ DX, DX        // byte offset
	MASK256(BX, Y12)
	EXPCONSTS256

loop:
	SUBQ    $8, BX
	JLT     tail
	VMOVUPS (SI)(DX*1), Y0
	SILU256(Y0, Y1, Y2, Y3, Y4)
	VMOVUPS Y0, (DI)(DX*1)
	ADDQ    $32, DX
	JMP     loop

tail:
	ADDQ       $8, BX
	JEQ        done
	VMASKMOVPS (SI)(DX*1), Y12, Y0
	SILU256(Y0, Y1, Y2, Y3, Y4)
	VMASKMOVPS Y0, Y12, (DI)(DX*1)

done:
	VZEROUPPER
	RET

// func siluGradAVX2(dx, dy, x *float32, n int)
// for i < n { dx[i] += dy[i]*silu'(x[i]) }
TEXT ·siluGradAVX2(SB), NOSPLIT, $0-32
	MOVQ dx+0(FP), DI
	MOVQ dy+8(FP), R8
	MOVQ x+16(FP), SI
	MOVQ n+24(FP), BX
	XORQ DX, DX       // byte offset
	MASK256(BX, Y12)
	EXPCONSTS256

loop:
	SUBQ        $8, BX
	JLT         tail
	VMOVUPS     (SI)(DX*1), Y0
	SILUSLOPE256(Y0, Y1, Y2, Y3, Y4)
	VMOVUPS     (R8)(DX*1), Y5
	VMOVUPS     (DI)(DX*1), Y6
	VFMADD231PS Y4, Y5, Y6           // dx + dy*slope
	VMOVUPS     Y6, (DI)(DX*1)
	ADDQ        $32, DX
	JMP         loop

tail:
	ADDQ        $8, BX
	JEQ         done
	VMASKMOVPS  (SI)(DX*1), Y12, Y0
	SILUSLOPE256(Y0, Y1, Y2, Y3, Y4)
	VMASKMOVPS  (R8)(DX*1), Y12, Y5
	VMASKMOVPS  (DI)(DX*1), Y12, Y6
	VFMADD231PS Y4, Y5, Y6           // dx + dy*slope
	VMASKMOVPS  Y6, Y12, (DI)(DX*1)

done:
	VZEROUPPER
	RET
