//go:build !noasm

#include "textflag.h"

// func dotAVX2(x, y *float32, n int) float64
// Lane l of accumulator k sums x[i]*y[i] in float64 over i = 16j+4k+l; what is left of n%16 goes to
// accumulator 0, four at a time, then one at a time after the lanes: (0+1)+(2+3), lanes by halves.
TEXT ·dotAVX2(SB), NOSPLIT, $0-32
	MOVQ   x+0(FP), SI
	MOVQ   y+8(FP), DI
	MOVQ   n+16(FP), BX
	VXORPD Y0, Y0, Y0
	VXORPD Y1, Y1, Y1
	VXORPD Y2, Y2, Y2
	VXORPD Y3, Y3, Y3

four:
	CMPQ        BX, $16
	JLT         one
	VCVTPS2PD   (SI), Y4
	VCVTPS2PD   (DI), Y8
	VFMADD231PD Y4, Y8, Y0  // s0 += x*y
	VCVTPS2PD   16(SI), Y5
	VCVTPS2PD   16(DI), Y9
	VFMADD231PD Y5, Y9, Y1  // s1
	VCVTPS2PD   32(SI), Y6
	VCVTPS2PD   32(DI), Y10
	VFMADD231PD Y6, Y10, Y2 // s2
	VCVTPS2PD   48(SI), Y7
	VCVTPS2PD   48(DI), Y11
	VFMADD231PD Y7, Y11, Y3 // s3
	ADDQ        $64, SI
	ADDQ        $64, DI
	SUBQ        $16, BX
	JMP         four

one:
	CMPQ        BX, $4
	JLT         sum
	VCVTPS2PD   (SI), Y4
	VCVTPS2PD   (DI), Y8
	VFMADD231PD Y4, Y8, Y0 // s0 += x*y
	ADDQ        $16, SI
	ADDQ        $16, DI
	SUBQ        $4, BX
	JMP         one

sum:
	VADDPD       Y1, Y0, Y0
	VADDPD       Y3, Y2, Y2
	VADDPD       Y2, Y0, Y0 // (s0+s1) + (s2+s3)
	VEXTRACTF128 $1, Y0, X1
	VADDPD       X1, X0, X0 // four lanes to two
	VUNPCKHPD    X0, X0, X1
	VADDSD       X1, X0, X0 // to one

last:
	TESTQ       BX, BX
	JEQ         done
	VMOVSS      (SI), X4
	VMOVSS      (DI), X8
	VCVTSS2SD   X4, X4, X4
	VCVTSS2SD   X8, X8, X8
	VFMADD231SD X4, X8, X0 // s += x*y
	ADDQ        $4, SI
	ADDQ        $4, DI
	DECQ        BX
	JMP         last

done:
	VMOVSD X0, ret+24(FP)
	VZEROUPPER
	RET
