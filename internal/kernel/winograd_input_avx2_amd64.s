//go:build !noasm

#include "funcdata.h"

// Y10 a, Y11 b, Y12 a², Y13 b², Y14 a²+b², Y15 a²b²

// Bᵀd: in d0..d5 = Y0..Y5; out Y4, Y0, Y6, Y1, Y8, Y5.
#define TRANSFORM \
	VMOVAPS      Y4, Y6      \ // e1 = d4
	VMOVAPS      Y3, Y7      \ // q1 = d3
	VMOVAPS      Y4, Y8      \ // e2 = d4
	VMOVAPS      Y3, Y9      \ // q2 = d3
	VFNMADD231PS Y13, Y2, Y6 \ // e1 -= b²*d2
	VFNMADD231PS Y13, Y1, Y7 \ // q1 -= b²*d1
	VFNMADD231PS Y12, Y2, Y8 \ // e2 -= a²*d2
	VFNMADD231PS Y12, Y1, Y9 \ // q2 -= a²*d1
	VFNMADD231PS Y14, Y2, Y4 \ // d4 -= (a²+b²)*d2
	VFNMADD231PS Y14, Y3, Y5 \ // d5 -= (a²+b²)*d3
	VFMADD231PS  Y15, Y0, Y4 \ // t0 = d4 + a²b²*d0
	VFMADD231PS  Y15, Y1, Y5 \ // t5 = d5 + a²b²*d1
	VMOVAPS      Y6, Y0      \
	VMOVAPS      Y8, Y1      \
	VFMADD231PS  Y10, Y7, Y0 \ // t1 = e1 + a*q1
	VFNMADD231PS Y10, Y7, Y6 \ // t2 = e1 - a*q1
	VFMADD231PS  Y11, Y9, Y1 \ // t3 = e2 + b*q2
	VFNMADD231PS Y11, Y9, Y8   // t4 = e2 - b*q2

// func winogradInputAVX2(dst, src *float32, coef *[6]float32, step, row, pix, n int)
// for c < n { dst[(i*6+j)*step+c] = (Bᵀ d B)[i][j] with d[i][j] = src[i*row+j*pix+c] }
TEXT ·winogradInputAVX2(SB), 0, $1152-56
	NO_LOCAL_POINTERS
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         coef+16(FP), AX
	MOVQ         step+24(FP), R8
	MOVQ         row+32(FP), R9
	MOVQ         pix+40(FP), R10
	MOVQ         n+48(FP), CX
	SHLQ         $2, R8            // step in bytes
	SHLQ         $2, R9            // row in bytes
	SHLQ         $2, R10           // pix in bytes
	LEAQ         (R9)(R9*2), R11   // 3*row
	LEAQ         (R9)(R9*4), R12   // 5*row
	LEAQ         (R8)(R8*2), R13   // 3*step
	LEAQ         (R8)(R8*4), R15   // 5*step
	VBROADCASTSS (AX), Y10
	VBROADCASTSS 4(AX), Y11
	VBROADCASTSS 8(AX), Y12
	VBROADCASTSS 12(AX), Y13
	VBROADCASTSS 16(AX), Y14
	VBROADCASTSS 20(AX), Y15

channels:
	MOVQ SI, AX                    // the patch's column
	LEAQ t-1152(SP), BX            // t[i][j], rows of 192 bytes
	MOVQ $6, DX

column:
	VMOVUPS (AX), Y0               // d[0][j]
	VMOVUPS (AX)(R9*1), Y1         // d[1][j]
	VMOVUPS (AX)(R9*2), Y2         // d[2][j]
	VMOVUPS (AX)(R11*1), Y3        // d[3][j]
	VMOVUPS (AX)(R9*4), Y4         // d[4][j]
	VMOVUPS (AX)(R12*1), Y5        // d[5][j]
	TRANSFORM
	VMOVUPS Y4, (BX)               // t[0][j]
	VMOVUPS Y0, 192(BX)            // t[1][j]
	VMOVUPS Y6, 384(BX)            // t[2][j]
	VMOVUPS Y1, 576(BX)            // t[3][j]
	VMOVUPS Y8, 768(BX)            // t[4][j]
	VMOVUPS Y5, 960(BX)            // t[5][j]
	ADDQ    R10, AX
	ADDQ    $32, BX
	DECQ    DX
	JNZ     column

	MOVQ DI, AX
	LEAQ t-1152(SP), BX
	MOVQ $6, DX

line:
	VMOVUPS (BX), Y0               // t[i][0]
	VMOVUPS 32(BX), Y1             // t[i][1]
	VMOVUPS 64(BX), Y2             // t[i][2]
	VMOVUPS 96(BX), Y3             // t[i][3]
	VMOVUPS 128(BX), Y4            // t[i][4]
	VMOVUPS 160(BX), Y5            // t[i][5]
	TRANSFORM
	VMOVUPS Y4, (AX)               // dst[(i*6)*step]
	VMOVUPS Y0, (AX)(R8*1)         // dst[(i*6+1)*step]
	VMOVUPS Y6, (AX)(R8*2)         // dst[(i*6+2)*step]
	VMOVUPS Y1, (AX)(R13*1)        // dst[(i*6+3)*step]
	VMOVUPS Y8, (AX)(R8*4)         // dst[(i*6+4)*step]
	VMOVUPS Y5, (AX)(R15*1)        // dst[(i*6+5)*step]
	LEAQ    (AX)(R8*2), AX
	LEAQ    (AX)(R8*4), AX         // dst += 6*step
	ADDQ    $192, BX
	DECQ    DX
	JNZ     line

	ADDQ $32, SI                   // the next eight channels
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ  channels
	VZEROUPPER
	RET
