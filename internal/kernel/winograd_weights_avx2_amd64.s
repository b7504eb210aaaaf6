//go:build !noasm

#include "funcdata.h"

// Y9 1/a²b²; for ±a: Y10 1/N, Y11 a/N, Y12 a²/N; for ±b: Y13 1/N, Y14 b/N, Y15 b²/N

// Gg: in g0..g2 = Y0..Y2; out Y3, Y4, Y5, Y6, Y7, Y2.
#define TRANSFORM \
	VMULPS      Y0, Y9, Y3   \ // u0 = g0/a²b²
	VMULPS      Y0, Y10, Y5  \ // e1 = g0/N
	VMULPS      Y0, Y13, Y7  \ // e2 = g0/N
	VMULPS      Y1, Y11, Y4  \ // o1 = g1*a/N
	VMULPS      Y1, Y14, Y6  \ // o2 = g1*b/N
	VFMADD231PS Y12, Y2, Y5  \ // e1 += g2*a²/N
	VFMADD231PS Y15, Y2, Y7  \ // e2 += g2*b²/N
	VADDPS      Y4, Y5, Y0   \
	VSUBPS      Y4, Y5, Y5   \ // u2 = e1 - o1
	VMOVAPS     Y0, Y4       \ // u1 = e1 + o1
	VADDPS      Y6, Y7, Y0   \
	VSUBPS      Y6, Y7, Y7   \ // u4 = e2 - o2
	VMOVAPS     Y0, Y6         // u3 = e2 + o2; u5 = g2

// func winogradWeightsAVX2(dst, src *float32, coef *[7]float32, step, tap, row, rows, n int)
// for c < rows, o < n { dst[(i*6+j)*step+c*n+o] = (G g Gᵀ)[i][j] with g[i][j] = src[(i*3+j)*tap+c*row+o] }
TEXT ·winogradWeightsAVX2(SB), 0, $576-64
	NO_LOCAL_POINTERS
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         coef+16(FP), AX
	MOVQ         step+24(FP), R8
	MOVQ         tap+32(FP), R9
	SHLQ         $2, R8            // step in bytes
	SHLQ         $2, R9            // tap in bytes
	LEAQ         (R9)(R9*2), R10   // 3*tap
	LEAQ         (R8)(R8*2), R13   // 3*step
	LEAQ         (R8)(R8*4), R15   // 5*step
	VBROADCASTSS (AX), Y9
	VBROADCASTSS 4(AX), Y10
	VBROADCASTSS 8(AX), Y11
	VBROADCASTSS 12(AX), Y12
	VBROADCASTSS 16(AX), Y13
	VBROADCASTSS 20(AX), Y14
	VBROADCASTSS 24(AX), Y15

row:
	MOVQ n+56(FP), CX
	MOVQ SI, R11                   // g of this row

channels:
	MOVQ R11, AX
	LEAQ t-576(SP), BX             // t[i][j], rows of 96 bytes
	MOVQ $3, DX

column:
	VMOVUPS (AX), Y0               // g[0][j]
	VMOVUPS (AX)(R10*1), Y1        // g[1][j]
	VMOVUPS (AX)(R10*2), Y2        // g[2][j]
	PREFETCHT0 512(AX)             // a strip's weights eight channels ahead, where runs are too short for the processor to see them coming
	PREFETCHT0 512(AX)(R10*1)
	PREFETCHT0 512(AX)(R10*2)
	TRANSFORM
	VMOVUPS Y3, (BX)               // t[0][j]
	VMOVUPS Y4, 96(BX)             // t[1][j]
	VMOVUPS Y5, 192(BX)            // t[2][j]
	VMOVUPS Y6, 288(BX)            // t[3][j]
	VMOVUPS Y7, 384(BX)            // t[4][j]
	VMOVUPS Y2, 480(BX)            // t[5][j]
	ADDQ    R9, AX
	ADDQ    $32, BX
	DECQ    DX
	JNZ     column

	MOVQ DI, AX
	LEAQ t-576(SP), BX
	MOVQ $6, DX

line:
	VMOVUPS (BX), Y0               // t[i][0]
	VMOVUPS 32(BX), Y1             // t[i][1]
	VMOVUPS 64(BX), Y2             // t[i][2]
	TRANSFORM
	VMOVUPS Y3, (AX)               // dst[(i*6)*step]
	VMOVUPS Y4, (AX)(R8*1)         // dst[(i*6+1)*step]
	VMOVUPS Y5, (AX)(R8*2)         // dst[(i*6+2)*step]
	VMOVUPS Y6, (AX)(R13*1)        // dst[(i*6+3)*step]
	VMOVUPS Y7, (AX)(R8*4)         // dst[(i*6+4)*step]
	VMOVUPS Y2, (AX)(R15*1)        // dst[(i*6+5)*step]
	LEAQ    (AX)(R8*2), AX
	LEAQ    (AX)(R8*4), AX         // dst += 6*step
	ADDQ    $96, BX
	DECQ    DX
	JNZ     line

	ADDQ $32, R11                  // the next eight output channels
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ  channels

	MOVQ row+40(FP), AX
	LEAQ (SI)(AX*4), SI            // the next input channel
	DECQ rows+48(FP)
	JNZ  row
	VZEROUPPER
	RET
