//go:build !noasm

#include "textflag.h"

DATA ·bf16Table+0(SB)/4, $0x7fff     // half of the last bit that stays, less one
DATA ·bf16Table+4(SB)/4, $0xffff0000 // what stays
DATA ·bf16Table+8(SB)/4, $0x80000000 // the sign
DATA ·bf16Table+12(SB)/4, $0x7f800000
DATA ·bf16Table+16(SB)/4, $0x00400000
GLOBL ·bf16Table(SB), RODATA|NOPTR, $20

// func roundBF16AVX2(dst, src *float32, n int)
// for i < n { dst[i] = src[i] rounded to bfloat16 }
TEXT ·roundBF16AVX2(SB), NOSPLIT, $0-24
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         n+16(FP), CX
	VPBROADCASTD ·bf16Table+0(SB), Y8
	VPBROADCASTD ·bf16Table+4(SB), Y9
	VPBROADCASTD ·bf16Table+8(SB), Y10
	VPBROADCASTD ·bf16Table+12(SB), Y11
	VPBROADCASTD ·bf16Table+16(SB), Y12
	VPXOR        Y13, Y13, Y13

loop:
	VMOVDQU   (SI), Y0
	VPSRLD    $16, Y0, Y1
	VPSLLD    $31, Y1, Y1
	VPSRLD    $31, Y1, Y1     // the last bit that stays
	VPADDD    Y8, Y1, Y1
	VPADDD    Y0, Y1, Y1      // rounded, ties to even
	VPAND     Y11, Y0, Y2
	VPCMPEQD  Y13, Y2, Y3     // zero or subnormal:
	VPAND     Y10, Y0, Y4     // only the sign
	VBLENDVPS Y3, Y4, Y1, Y1
	VCMPPS    $3, Y0, Y0, Y3  // NaN:
	VPOR      Y12, Y0, Y4     // a quiet one
	VBLENDVPS Y3, Y4, Y1, Y1
	VPAND     Y9, Y1, Y1
	VMOVDQU   Y1, (DI)
	ADDQ      $32, SI
	ADDQ      $32, DI
	SUBQ      $8, CX
	JNZ       loop
	VZEROUPPER
	RET
