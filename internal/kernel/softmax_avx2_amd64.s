//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// All lanes of Y = OP over the eight lanes of Y; T is lost.
#define REDUCE256(OP, Y, T) \
	VPERM2F128 $1, Y, Y, T    \ // halves swapped
	OP         T, Y, Y        \
	VPERMILPS  $0x4E, Y, T    \ // pairs swapped
	OP         T, Y, Y        \
	VPERMILPS  $0xB1, Y, T    \ // neighbours swapped
	OP         T, Y, Y

// func softmaxAVX2(dst, x *float32, rows, cols int, scale float32)
// for each row { top = max(scale*x); e = exp(scale*x-top); dst = e/Σe }
// A NaN that max drops comes back with its own exponential and so reaches the sum.
TEXT ·softmaxAVX2(SB), NOSPLIT, $0-36
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         rows+16(FP), R10
	MOVQ         cols+24(FP), R11
	VBROADCASTSS scale+32(FP), Y11
	MASK256(R11, Y12)
	VMOVUPS      ·expTable+EXP_TINY(SB), Y9
	MOVL         $0xFF800000, AX
	VMOVD        AX, X10
	VPBROADCASTD X10, Y10                   // -Inf

row:
	VMOVAPS Y10, Y0 // top
	MOVQ    R11, BX
	XORQ    DX, DX

max:
	SUBQ    $8, BX
	JLT     maxtail
	VMOVUPS (SI)(DX*1), Y1
	VMULPS  Y1, Y11, Y1    // scale*x
	VMAXPS  Y1, Y0, Y0     // top = max(top, scale*x)
	ADDQ    $32, DX
	JMP     max

maxtail:
	ADDQ       $8, BX
	JEQ        maxdone
	VMASKMOVPS (SI)(DX*1), Y12, Y1
	VMULPS     Y1, Y11, Y1         // scale*x
	VBLENDVPS  Y12, Y1, Y10, Y1    // -Inf in the lanes that are off
	VMAXPS     Y1, Y0, Y0          // top = max(top, scale*x)

maxdone:
	REDUCE256(VMAXPS, Y0, Y1)
	VXORPS Y5, Y5, Y5         // sum

	MOVQ R11, BX
	XORQ DX, DX

exp:
	SUBQ    $8, BX
	JLT     exptail
	VMOVUPS (SI)(DX*1), Y1
	VMULPS  Y1, Y11, Y1       // scale*x
	VSUBPS  Y1, Y0, Y1        // t = top - scale*x >= 0
	VCMPPS  $0x1A, Y9, Y1, Y4 // not (t > 87.33): NaN is in
	VMINPS  Y1, Y9, Y1        // t = min(87.33, t), NaN kept
	EXPNEG256(Y1, Y2, Y3)
	VANDPS  Y4, Y3, Y3        // 0 beyond 87.33
	VADDPS  Y3, Y5, Y5        // sum
	VMOVUPS Y3, (DI)(DX*1)
	ADDQ    $32, DX
	JMP     exp

exptail:
	ADDQ       $8, BX
	JEQ        expdone
	VMASKMOVPS (SI)(DX*1), Y12, Y1
	VMULPS     Y1, Y11, Y1         // scale*x
	VSUBPS     Y1, Y0, Y1          // t = top - scale*x >= 0
	VCMPPS     $0x1A, Y9, Y1, Y4   // not (t > 87.33): NaN is in
	VMINPS     Y1, Y9, Y1          // t = min(87.33, t), NaN kept
	EXPNEG256(Y1, Y2, Y3)
	VANDPS     Y4, Y3, Y3          // 0 beyond 87.33
	VANDPS     Y12, Y3, Y3         // nothing from the lanes that are off
	VADDPS     Y3, Y5, Y5          // sum
	VMASKMOVPS Y3, Y12, (DI)(DX*1)

expdone:
	REDUCE256(VADDPS, Y5, Y1)
	VMOVUPS ·expTable+EXP_ONE(SB), Y1
	VDIVPS  Y5, Y1, Y5                // 1/sum

	MOVQ R11, BX
	XORQ DX, DX

norm:
	SUBQ    $8, BX
	JLT     normtail
	VMOVUPS (DI)(DX*1), Y1
	VMULPS  Y1, Y5, Y1
	VMOVUPS Y1, (DI)(DX*1)
	ADDQ    $32, DX
	JMP     norm

normtail:
	ADDQ       $8, BX
	JEQ        next
	VMASKMOVPS (DI)(DX*1), Y12, Y1
	VMULPS     Y1, Y5, Y1
	VMASKMOVPS Y1, Y12, (DI)(DX*1)

next:
	LEAQ (DI)(R11*4), DI
	LEAQ (SI)(R11*4), SI
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET

// func softmaxGradAVX2(dx, dy, p *float32, rows, cols int, scale float32)
// for each row { mean = Σ p*dy; dx = scale*p*(dy-mean) }
TEXT ·softmaxGradAVX2(SB), NOSPLIT, $0-44
	MOVQ         dx+0(FP), DI
	MOVQ         dy+8(FP), R8
	MOVQ         p+16(FP), SI
	MOVQ         rows+24(FP), R10
	MOVQ         cols+32(FP), R11
	VBROADCASTSS scale+40(FP), Y11
	MASK256(R11, Y12)

row:
	VXORPS Y0, Y0, Y0 // mean
	MOVQ   R11, BX
	XORQ   DX, DX

dot:
	SUBQ        $8, BX
	JLT         dottail
	VMOVUPS     (SI)(DX*1), Y1 // p
	VMOVUPS     (R8)(DX*1), Y2 // dy
	VFMADD231PS Y1, Y2, Y0     // mean += p*dy
	ADDQ        $32, DX
	JMP         dot

dottail:
	ADDQ        $8, BX
	JEQ         dotdone
	VMASKMOVPS  (SI)(DX*1), Y12, Y1 // p
	VMASKMOVPS  (R8)(DX*1), Y12, Y2 // dy
	VFMADD231PS Y1, Y2, Y0          // mean += p*dy

dotdone:
	REDUCE256(VADDPS, Y0, Y1)

	MOVQ R11, BX
	XORQ DX, DX

out:
	SUBQ    $8, BX
	JLT     outtail
	VMOVUPS (R8)(DX*1), Y2 // dy
	VMOVUPS (SI)(DX*1), Y1 // p
	VSUBPS  Y0, Y2, Y2     // dy - mean
	VMULPS  Y1, Y11, Y1    // scale*p
	VMULPS  Y1, Y2, Y2
	VMOVUPS Y2, (DI)(DX*1)
	ADDQ    $32, DX
	JMP     out

outtail:
	ADDQ       $8, BX
	JEQ        next
	VMASKMOVPS (R8)(DX*1), Y12, Y2 // dy
	VMASKMOVPS (SI)(DX*1), Y12, Y1 // p
	VSUBPS     Y0, Y2, Y2          // dy - mean
	VMULPS     Y1, Y11, Y1         // scale*p
	VMULPS     Y1, Y2, Y2
	VMASKMOVPS Y2, Y12, (DI)(DX*1)

next:
	LEAQ (DI)(R11*4), DI
	LEAQ (R8)(R11*4), R8
	LEAQ (SI)(R11*4), SI
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET
