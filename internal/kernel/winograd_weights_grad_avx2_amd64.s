//go:build !noasm

#include "funcdata.h"

// Y9 1/a²b²; for ±a: Y10 1/N, Y11 a/N, Y12 a²/N; for ±b: Y13 1/N, Y14 b/N, Y15 b²/N

// Gᵀu: in u0..u5 = Y0..Y5; out Y6, Y7, Y5.
#define TRANSFORM \
	VADDPS      Y2, Y1, Y8  \ // e1 = u1 + u2
	VSUBPS      Y2, Y1, Y1  \ // o1 = u1 - u2
	VADDPS      Y4, Y3, Y2  \ // e2 = u3 + u4
	VSUBPS      Y4, Y3, Y3  \ // o2 = u3 - u4
	VMULPS      Y0, Y9, Y6  \ // g0 = u0/a²b²
	VMULPS      Y1, Y11, Y7 \ // g1 = o1*a/N
	VFMADD231PS Y12, Y8, Y5 \ // g2 = u5 + e1*a²/N
	VFMADD231PS Y10, Y8, Y6 \ // g0 += e1/N
	VFMADD231PS Y14, Y3, Y7 \ // g1 += o2*b/N
	VFMADD231PS Y15, Y2, Y5 \ // g2 += e2*b²/N
	VFMADD231PS Y13, Y2, Y6   // g0 += e2/N

// func winogradWeightsGradAVX2(dst, src *float32, coef *[7]float32, tap, step, n int)
// for o < n { dst[(i*3+j)*tap+o] += (Gᵀ u G)[i][j] with u[i][j] = src[(i*6+j)*step+o] }
TEXT ·winogradWeightsGradAVX2(SB), 0, $576-48
	NO_LOCAL_POINTERS
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         coef+16(FP), AX
	MOVQ         tap+24(FP), R9
	MOVQ         step+32(FP), R8
	MOVQ         n+40(FP), CX
	SHLQ         $2, R8            // step in bytes
	SHLQ         $2, R9            // tap in bytes
	LEAQ         (R9)(R9*2), R10   // 3*tap
	LEAQ         (R8)(R8*2), R11
	SHLQ         $1, R11           // 6*step
	LEAQ         (R11)(R11*2), R12 // 18*step
	LEAQ         (R11)(R11*4), R15 // 30*step
	VBROADCASTSS (AX), Y9
	VBROADCASTSS 4(AX), Y10
	VBROADCASTSS 8(AX), Y11
	VBROADCASTSS 12(AX), Y12
	VBROADCASTSS 16(AX), Y13
	VBROADCASTSS 20(AX), Y14
	VBROADCASTSS 24(AX), Y15

channels:
	MOVQ SI, AX
	LEAQ t-576(SP), BX             // t[i][j], rows of 192 bytes
	MOVQ $6, DX

column:
	VMOVUPS (AX), Y0               // u[0][j]
	VMOVUPS (AX)(R11*1), Y1        // u[1][j]
	VMOVUPS (AX)(R11*2), Y2        // u[2][j]
	VMOVUPS (AX)(R12*1), Y3        // u[3][j]
	VMOVUPS (AX)(R11*4), Y4        // u[4][j]
	VMOVUPS (AX)(R15*1), Y5        // u[5][j]
	TRANSFORM
	VMOVUPS Y6, (BX)               // t[0][j]
	VMOVUPS Y7, 192(BX)            // t[1][j]
	VMOVUPS Y5, 384(BX)            // t[2][j]
	ADDQ    R8, AX
	ADDQ    $32, BX
	DECQ    DX
	JNZ     column

	MOVQ DI, AX
	LEAQ t-576(SP), BX
	MOVQ $3, DX

line:
	VMOVUPS (BX), Y0               // t[i][0]
	VMOVUPS 32(BX), Y1             // t[i][1]
	VMOVUPS 64(BX), Y2             // t[i][2]
	VMOVUPS 96(BX), Y3             // t[i][3]
	VMOVUPS 128(BX), Y4            // t[i][4]
	VMOVUPS 160(BX), Y5            // t[i][5]
	TRANSFORM
	VADDPS  (AX), Y6, Y6
	VADDPS  (AX)(R9*1), Y7, Y7
	VADDPS  (AX)(R9*2), Y5, Y5
	VMOVUPS Y6, (AX)               // dst[(i*3)*tap] += g[i][0]
	VMOVUPS Y7, (AX)(R9*1)         // dst[(i*3+1)*tap] += g[i][1]
	VMOVUPS Y5, (AX)(R9*2)         // dst[(i*3+2)*tap] += g[i][2]
	ADDQ    R10, AX
	ADDQ    $192, BX
	DECQ    DX
	JNZ     line

	ADDQ $32, SI                   // the next eight channels
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ  channels
	VZEROUPPER
	RET
