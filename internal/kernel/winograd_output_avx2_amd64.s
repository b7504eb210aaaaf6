//go:build !noasm

#include "funcdata.h"

// Y10 a, Y11 b, Y12 a², Y13 b², Y14 a³, Y15 b³

// Aᵀm: in m0..m5 = Y0..Y5; out Y0, Y1, Y2, Y5.
#define TRANSFORM \
	VADDPS      Y2, Y1, Y6   \ // e1 = m1 + m2
	VSUBPS      Y2, Y1, Y7   \ // o1 = m1 - m2
	VADDPS      Y4, Y3, Y8   \ // e2 = m3 + m4
	VSUBPS      Y4, Y3, Y9   \ // o2 = m3 - m4
	VADDPS      Y6, Y0, Y0   \ // y0 = m0 + e1
	VMULPS      Y7, Y10, Y1  \ // y1 = a*o1
	VMULPS      Y6, Y12, Y2  \ // y2 = a²*e1
	VFMADD231PS Y14, Y7, Y5  \ // y3 = m5 + a³*o1
	VADDPS      Y8, Y0, Y0   \ // y0 += e2
	VFMADD231PS Y11, Y9, Y1  \ // y1 += b*o2
	VFMADD231PS Y13, Y8, Y2  \ // y2 += b²*e2
	VFMADD231PS Y15, Y9, Y5    // y3 += b³*o2

// func winogradOutputAVX2(dst, src, bias *float32, coef *[6]float32, row, pix, step, n int)
// for c < n { dst[i*row+j*pix+c] = (Aᵀ m A)[i][j] + bias[c] with m[i][j] = src[(i*6+j)*step+c] }
TEXT ·winogradOutputAVX2(SB), 0, $768-64
	NO_LOCAL_POINTERS
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         bias+16(FP), R13
	MOVQ         coef+24(FP), AX
	MOVQ         row+32(FP), R9
	MOVQ         pix+40(FP), R10
	MOVQ         step+48(FP), R8
	MOVQ         n+56(FP), CX
	SHLQ         $2, R8            // step in bytes
	SHLQ         $2, R9            // row in bytes
	SHLQ         $2, R10           // pix in bytes
	LEAQ         (R8)(R8*2), R11
	SHLQ         $1, R11           // 6*step
	LEAQ         (R11)(R11*2), R12 // 18*step
	LEAQ         (R11)(R11*4), R15 // 30*step
	VBROADCASTSS (AX), Y10
	VBROADCASTSS 4(AX), Y11
	VBROADCASTSS 8(AX), Y12
	VBROADCASTSS 12(AX), Y13
	VBROADCASTSS 16(AX), Y14
	VBROADCASTSS 20(AX), Y15

channels:
	MOVQ SI, AX
	LEAQ t-768(SP), BX             // t[i][j], rows of 192 bytes
	MOVQ $6, DX

column:
	VMOVUPS (AX), Y0               // m[0][j]
	VMOVUPS (AX)(R11*1), Y1        // m[1][j]
	VMOVUPS (AX)(R11*2), Y2        // m[2][j]
	VMOVUPS (AX)(R12*1), Y3        // m[3][j]
	VMOVUPS (AX)(R11*4), Y4        // m[4][j]
	VMOVUPS (AX)(R15*1), Y5        // m[5][j]
	TRANSFORM
	VMOVUPS Y0, (BX)               // t[0][j]
	VMOVUPS Y1, 192(BX)            // t[1][j]
	VMOVUPS Y2, 384(BX)            // t[2][j]
	VMOVUPS Y5, 576(BX)            // t[3][j]
	ADDQ    R8, AX                 // src += step
	ADDQ    $32, BX
	DECQ    DX
	JNZ     column

	MOVQ DI, AX
	LEAQ t-768(SP), BX
	MOVQ $4, DX

line:
	VMOVUPS (BX), Y0               // t[i][0]
	VMOVUPS 32(BX), Y1             // t[i][1]
	VMOVUPS 64(BX), Y2             // t[i][2]
	VMOVUPS 96(BX), Y3             // t[i][3]
	VMOVUPS 128(BX), Y4            // t[i][4]
	VMOVUPS 160(BX), Y5            // t[i][5]
	TRANSFORM
	VADDPS  (R13), Y0, Y0          // y0 += bias
	VADDPS  (R13), Y1, Y1
	VADDPS  (R13), Y2, Y2
	VADDPS  (R13), Y5, Y5
	VMOVUPS Y0, (AX)               // dst[i*row]
	VMOVUPS Y1, (AX)(R10*1)        // dst[i*row+pix]
	VMOVUPS Y2, (AX)(R10*2)        // dst[i*row+2*pix]
	LEAQ    (AX)(R10*2), R8
	VMOVUPS Y5, (R8)(R10*1)        // dst[i*row+3*pix]
	ADDQ    R9, AX
	ADDQ    $192, BX
	DECQ    DX
	JNZ     line

	MOVQ step+48(FP), R8
	SHLQ $2, R8
	ADDQ $32, SI                   // the next eight channels
	ADDQ $32, DI
	ADDQ $32, R13
	SUBQ $8, CX
	JNZ  channels
	VZEROUPPER
	RET
