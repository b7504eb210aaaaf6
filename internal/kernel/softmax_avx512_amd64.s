//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// All lanes of Z = OP over the sixteen lanes of Z; T is lost.
#define REDUCE512(OP, Z, T) \
	VSHUFF64X2 $0x4E, Z, Z, T \ // halves swapped
	OP         T, Z, Z        \
	VSHUFF64X2 $0xB1, Z, Z, T \ // quarters swapped
	OP         T, Z, Z        \
	VPERMILPS  $0x4E, Z, T    \ // pairs swapped
	OP         T, Z, Z        \
	VPERMILPS  $0xB1, Z, T    \ // neighbours swapped
	OP         T, Z, Z

// func softmaxAVX512(dst, x *float32, rows, cols int, scale float32)
// for each row { top = max(scale*x); e = exp(scale*x-top); dst = e/Σe }
// A NaN that max drops comes back with its own exponential and so reaches the sum.
TEXT ·softmaxAVX512(SB), NOSPLIT, $0-36
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         rows+16(FP), R10
	MOVQ         cols+24(FP), R11
	VBROADCASTSS scale+32(FP), Z19
	MASKS512(R11)
	EXPCONSTS512
	VBROADCASTSS ·expTable+EXP_TINY(SB), Z18
	MOVL         $0xFF800000, AX
	VPBROADCASTD AX, Z17                     // -Inf

row:
	MOVQ    R11, BX
	XORQ    DX, DX
	KXNORW  K1, K1, K1
	VMOVAPS Z17, Z0    // top

max:
	CMPQ  BX, $16
	JGE   maxbody
	KMOVW K2, K1

maxbody:
	VMULPS.Z (SI)(DX*1), Z19, K1, Z1 // scale*x
	VMAXPS   Z1, Z0, K1, Z0          // top = max(top, scale*x)
	ADDQ     $64, DX
	SUBQ     $16, BX
	JG       max
	REDUCE512(VMAXPS, Z0, Z1)

	MOVQ   R11, BX
	XORQ   DX, DX
	KXNORW K1, K1, K1
	VPXORQ Z5, Z5, Z5 // Σ e

exp:
	CMPQ  BX, $16
	JGE   expbody
	KMOVW K2, K1

expbody:
	VMULPS.Z  (SI)(DX*1), Z19, K1, Z1 // scale*x
	VSUBPS    Z1, Z0, Z1              // t = top - scale*x >= 0
	VCMPPS    $0x1A, Z18, Z1, K1, K3  // not (t > 87.33): NaN is in
	VMINPS    Z1, Z18, Z1             // t = min(87.33, t), NaN kept
	EXPNEG512(Z1, Z2, Z3)
	VMOVAPS.Z Z3, K3, Z3              // 0 beyond 87.33
	VADDPS    Z3, Z5, Z5
	VMOVUPS   Z3, K1, (DI)(DX*1)
	ADDQ      $64, DX
	SUBQ      $16, BX
	JG        exp
	REDUCE512(VADDPS, Z5, Z1)
	VDIVPS    Z5, Z20, Z5             // 1/Σe

	MOVQ   R11, BX
	XORQ   DX, DX
	KXNORW K1, K1, K1

norm:
	CMPQ  BX, $16
	JGE   normbody
	KMOVW K2, K1

normbody:
	VMULPS.Z (DI)(DX*1), Z5, K1, Z1
	VMOVUPS  Z1, K1, (DI)(DX*1)
	ADDQ     $64, DX
	SUBQ     $16, BX
	JG       norm

	LEAQ (DI)(R11*4), DI
	LEAQ (SI)(R11*4), SI
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET

// func softmaxGradAVX512(dx, dy, p *float32, rows, cols int, scale float32)
// for each row { mean = Σ p*dy; dx = scale*p*(dy-mean) }
TEXT ·softmaxGradAVX512(SB), NOSPLIT, $0-44
	MOVQ         dx+0(FP), DI
	MOVQ         dy+8(FP), R8
	MOVQ         p+16(FP), SI
	MOVQ         rows+24(FP), R10
	MOVQ         cols+32(FP), R11
	VBROADCASTSS scale+40(FP), Z19
	MASKS512(R11)

row:
	MOVQ   R11, BX
	XORQ   DX, DX
	KXNORW K1, K1, K1
	VPXORQ Z0, Z0, Z0 // mean

dot:
	CMPQ  BX, $16
	JGE   dotbody
	KMOVW K2, K1

dotbody:
	VMOVUPS.Z   (SI)(DX*1), K1, Z1 // p
	VMOVUPS.Z   (R8)(DX*1), K1, Z2 // dy
	VFMADD231PS Z1, Z2, Z0         // mean += p*dy
	ADDQ        $64, DX
	SUBQ        $16, BX
	JG          dot
	REDUCE512(VADDPS, Z0, Z1)

	MOVQ   R11, BX
	XORQ   DX, DX
	KXNORW K1, K1, K1

out:
	CMPQ  BX, $16
	JGE   outbody
	KMOVW K2, K1

outbody:
	VMOVUPS.Z (R8)(DX*1), K1, Z2      // dy
	VSUBPS    Z0, Z2, Z2              // dy - mean
	VMULPS.Z  (SI)(DX*1), Z19, K1, Z1 // scale*p
	VMULPS    Z1, Z2, Z2
	VMOVUPS   Z2, K1, (DI)(DX*1)
	ADDQ      $64, DX
	SUBQ      $16, BX
	JG        out

	LEAQ (DI)(R11*4), DI
	LEAQ (R8)(R11*4), R8
	LEAQ (SI)(R11*4), SI
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET
