//go:build !noasm

#include "textflag.h"

// func dotAVX512(x, y *float32, n int) float64
// Lane l of accumulator k sums x[i]*y[i] in float64 over i = 32j+8k+l; what is left of n%32 goes to
// accumulator 0, eight at a time; then (0+1)+(2+3), and the eight lanes by halves.
TEXT ·dotAVX512(SB), NOSPLIT, $0-32
	MOVQ   x+0(FP), SI
	MOVQ   y+8(FP), DI
	MOVQ   n+16(FP), BX
	VPXORQ Z0, Z0, Z0
	VPXORQ Z1, Z1, Z1
	VPXORQ Z2, Z2, Z2
	VPXORQ Z3, Z3, Z3
	KXNORW K1, K1, K1
	MOVQ   BX, CX
	ANDQ   $7, CX
	MOVL   $1, AX
	SHLL   CX, AX
	DECL   AX
	KMOVW  AX, K2       // the lowest n%8 lanes

four:
	CMPQ        BX, $32
	JLT         one
	VCVTPS2PD   (SI), Z4
	VCVTPS2PD   (DI), Z8
	VFMADD231PD Z4, Z8, Z0  // s0 += x*y
	VCVTPS2PD   32(SI), Z5
	VCVTPS2PD   32(DI), Z9
	VFMADD231PD Z5, Z9, Z1  // s1
	VCVTPS2PD   64(SI), Z6
	VCVTPS2PD   64(DI), Z10
	VFMADD231PD Z6, Z10, Z2 // s2
	VCVTPS2PD   96(SI), Z7
	VCVTPS2PD   96(DI), Z11
	VFMADD231PD Z7, Z11, Z3 // s3
	ADDQ        $128, SI
	ADDQ        $128, DI
	SUBQ        $32, BX
	JMP         four

one:
	TESTQ BX, BX
	JLE   sum
	CMPQ  BX, $8
	JGE   body
	KMOVW K2, K1

body:
	VCVTPS2PD.Z (SI), K1, Z4
	VCVTPS2PD.Z (DI), K1, Z8
	VFMADD231PD Z4, Z8, Z0   // s0 += x*y
	ADDQ        $32, SI
	ADDQ        $32, DI
	SUBQ        $8, BX
	JMP         one

sum:
	VADDPD        Z1, Z0, Z0
	VADDPD        Z3, Z2, Z2
	VADDPD        Z2, Z0, Z0     // (s0+s1) + (s2+s3)
	VEXTRACTF64X4 $1, Z0, Y1
	VADDPD        Y1, Y0, Y0     // eight lanes to four
	VEXTRACTF128  $1, Y0, X1
	VADDPD        X1, X0, X0     // to two
	VUNPCKHPD     X0, X0, X1
	VADDSD        X1, X0, X0     // to one
	VMOVSD        X0, ret+24(FP)
	VZEROUPPER
	RET
