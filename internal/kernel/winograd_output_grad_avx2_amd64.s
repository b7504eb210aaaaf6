//go:build !noasm

#include "funcdata.h"

// Y10 a, Y11 b, Y12 a², Y13 b², Y14 a³, Y15 b³

// Ay: in y0..y3 = Y0..Y3; out Y0, Y4, Y5, Y6, Y7, Y3.
#define TRANSFORM \
	VMOVAPS     Y0, Y5       \ // e1 = y0
	VMOVAPS     Y0, Y7       \ // e2 = y0
	VMULPS      Y1, Y10, Y4  \ // o1 = a*y1
	VMULPS      Y1, Y11, Y6  \ // o2 = b*y1
	VFMADD231PS Y12, Y2, Y5  \ // e1 += a²*y2
	VFMADD231PS Y13, Y2, Y7  \ // e2 += b²*y2
	VFMADD231PS Y14, Y3, Y4  \ // o1 += a³*y3
	VFMADD231PS Y15, Y3, Y6  \ // o2 += b³*y3
	VADDPS      Y4, Y5, Y8   \
	VADDPS      Y6, Y7, Y9   \
	VSUBPS      Y4, Y5, Y5   \ // p2 = e1 - o1
	VSUBPS      Y6, Y7, Y7   \ // p4 = e2 - o2
	VMOVAPS     Y8, Y4       \ // p1 = e1 + o1
	VMOVAPS     Y9, Y6         // p3 = e2 + o2; p0 = y0, p5 = y3

// func winogradOutputGradAVX2(dst, src *float32, coef *[6]float32, step, row, pix, n int)
// for c < n { dst[(i*6+j)*step+c] = (A y Aᵀ)[i][j] with y[i][j] = src[i*row+j*pix+c] }
TEXT ·winogradOutputGradAVX2(SB), 0, $768-56
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
	LEAQ         (R8)(R8*2), R13   // 3*step
	LEAQ         (R8)(R8*4), R15   // 5*step
	VBROADCASTSS (AX), Y10
	VBROADCASTSS 4(AX), Y11
	VBROADCASTSS 8(AX), Y12
	VBROADCASTSS 12(AX), Y13
	VBROADCASTSS 16(AX), Y14
	VBROADCASTSS 20(AX), Y15

channels:
	MOVQ SI, AX
	LEAQ t-768(SP), BX             // t[i][j], rows of 128 bytes
	MOVQ $4, DX

column:
	VMOVUPS (AX), Y0               // y[0][j]
	VMOVUPS (AX)(R9*1), Y1         // y[1][j]
	VMOVUPS (AX)(R9*2), Y2         // y[2][j]
	VMOVUPS (AX)(R11*1), Y3        // y[3][j]
	TRANSFORM
	VMOVUPS Y0, (BX)               // t[0][j]
	VMOVUPS Y4, 128(BX)            // t[1][j]
	VMOVUPS Y5, 256(BX)            // t[2][j]
	VMOVUPS Y6, 384(BX)            // t[3][j]
	VMOVUPS Y7, 512(BX)            // t[4][j]
	VMOVUPS Y3, 640(BX)            // t[5][j]
	ADDQ    R10, AX
	ADDQ    $32, BX
	DECQ    DX
	JNZ     column

	MOVQ DI, AX
	LEAQ t-768(SP), BX
	MOVQ $6, DX

line:
	VMOVUPS (BX), Y0               // t[i][0]
	VMOVUPS 32(BX), Y1             // t[i][1]
	VMOVUPS 64(BX), Y2             // t[i][2]
	VMOVUPS 96(BX), Y3             // t[i][3]
	TRANSFORM
	VMOVUPS Y0, (AX)               // dst[(i*6)*step]
	VMOVUPS Y4, (AX)(R8*1)         // dst[(i*6+1)*step]
	VMOVUPS Y5, (AX)(R8*2)         // dst[(i*6+2)*step]
	VMOVUPS Y6, (AX)(R13*1)        // dst[(i*6+3)*step]
	VMOVUPS Y7, (AX)(R8*4)         // dst[(i*6+4)*step]
	VMOVUPS Y3, (AX)(R15*1)        // dst[(i*6+5)*step]
	LEAQ    (AX)(R8*2), AX
	LEAQ    (AX)(R8*4), AX         // dst += 6*step
	ADDQ    $128, BX
	DECQ    DX
	JNZ     line

	ADDQ $32, SI                   // the next eight channels
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ  channels
	VZEROUPPER
	RET
