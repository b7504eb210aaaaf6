//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// func adamAVX512(w, m, v, grad *float32, n int, c *adamCoefficients)
// for i < n {
//	m[i] += gain1*(grad[i]-m[i]);  v[i] = beta2*v[i] + gain2*grad[i]*grad[i]
//	w[i] -= step*m[i] / (sqrt(v[i])*rootC + eps)
// }
TEXT ·adamAVX512(SB), NOSPLIT, $0-48
	MOVQ         w+0(FP), DI
	MOVQ         m+8(FP), R8
	MOVQ         v+16(FP), R9
	MOVQ         grad+24(FP), SI
	MOVQ         n+32(FP), BX
	MOVQ         c+40(FP), R10
	VBROADCASTSS 0(R10), Z20   // gain1
	VBROADCASTSS 4(R10), Z21   // beta2
	VBROADCASTSS 8(R10), Z22   // gain2
	VBROADCASTSS 12(R10), Z23  // rootC
	VBROADCASTSS 16(R10), Z24  // eps
	VBROADCASTSS 20(R10), Z25  // step
	MASKS512(BX)
	XORQ         DX, DX

loop:
	CMPQ  BX, $16
	JGE   body
	KMOVW K2, K1

body:
	VMOVUPS.Z   (SI)(DX*1), K1, Z0 // g
	VMOVUPS.Z   (R8)(DX*1), K1, Z1 // m
	VMOVUPS.Z   (R9)(DX*1), K1, Z2 // v
	VMOVUPS.Z   (DI)(DX*1), K1, Z3 // w
	VSUBPS      Z1, Z0, Z4         // g - m
	VFMADD231PS Z4, Z20, Z1        // m += gain1*(g-m)
	VMULPS      Z0, Z22, Z5        // gain2*g
	VMULPS      Z5, Z0, Z5         // gain2*g*g
	VFMADD213PS Z5, Z21, Z2        // v = beta2*v + gain2*g*g
	VSQRTPS     Z2, Z6             // sqrt(v)
	VFMADD213PS Z24, Z23, Z6       // sqrt(v)*rootC + eps
	VMULPS      Z1, Z25, Z7        // step*m
	VDIVPS      Z6, Z7, Z7
	VSUBPS      Z7, Z3, Z3         // w -= step*m/(...)
	VMOVUPS     Z1, K1, (R8)(DX*1)
	VMOVUPS     Z2, K1, (R9)(DX*1)
	VMOVUPS     Z3, K1, (DI)(DX*1)
	ADDQ        $64, DX
	SUBQ        $16, BX
	JG          loop
	VZEROUPPER
	RET
