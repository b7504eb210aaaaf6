//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// func adamAVX2(w, m, v, grad *float32, n int, c *adamCoefficients)
// for i < n {
//	m[i] += gain1*(grad[i]-m[i]);  v[i] = beta2*v[i] + gain2*grad[i]*grad[i]
//	w[i] -= step*m[i] / (sqrt(v[i])*rootC + eps)
// }
TEXT ·adamAVX2(SB), NOSPLIT, $0-48
	MOVQ         w+0(FP), DI
	MOVQ         m+8(FP), R8
	MOVQ         v+16(FP), R9
	MOVQ         grad+24(FP), SI
	MOVQ         n+32(FP), BX
	MOVQ         c+40(FP), R10
	XORQ         DX, DX        // byte offset
	MASK256(BX, Y12)
	VBROADCASTSS 0(R10), Y15   // gain1
	VBROADCASTSS 4(R10), Y14   // beta2
	VBROADCASTSS 8(R10), Y13   // gain2
	VBROADCASTSS 12(R10), Y11  // rootC
	VBROADCASTSS 16(R10), Y10  // eps
	VBROADCASTSS 20(R10), Y9   // step

loop:
	SUBQ        $8, BX
	JLT         tail
	VMOVUPS     (SI)(DX*1), Y0 // g
	VMOVUPS     (R8)(DX*1), Y1 // m
	VMOVUPS     (R9)(DX*1), Y2 // v
	VMOVUPS     (DI)(DX*1), Y3 // w
	VSUBPS      Y1, Y0, Y4     // g - m
	VFMADD231PS Y4, Y15, Y1    // m += gain1*(g-m)
	VMULPS      Y0, Y13, Y5    // gain2*g
	VMULPS      Y5, Y0, Y5     // gain2*g*g
	VFMADD213PS Y5, Y14, Y2    // v = beta2*v + gain2*g*g
	VSQRTPS     Y2, Y6         // sqrt(v)
	VFMADD213PS Y10, Y11, Y6   // sqrt(v)*rootC + eps
	VMULPS      Y1, Y9, Y7     // step*m
	VDIVPS      Y6, Y7, Y7
	VSUBPS      Y7, Y3, Y3     // w -= step*m/(...)
	VMOVUPS     Y1, (R8)(DX*1)
	VMOVUPS     Y2, (R9)(DX*1)
	VMOVUPS     Y3, (DI)(DX*1)
	ADDQ        $32, DX
	JMP         loop

tail:
	ADDQ        $8, BX
	JEQ         done
	VMASKMOVPS  (SI)(DX*1), Y12, Y0 // g
	VMASKMOVPS  (R8)(DX*1), Y12, Y1 // m
	VMASKMOVPS  (R9)(DX*1), Y12, Y2 // v
	VMASKMOVPS  (DI)(DX*1), Y12, Y3 // w
	VSUBPS      Y1, Y0, Y4          // g - m
	VFMADD231PS Y4, Y15, Y1         // m += gain1*(g-m)
	VMULPS      Y0, Y13, Y5         // gain2*g
	VMULPS      Y5, Y0, Y5          // gain2*g*g
	VFMADD213PS Y5, Y14, Y2         // v = beta2*v + gain2*g*g
	VSQRTPS     Y2, Y6              // sqrt(v)
	VFMADD213PS Y10, Y11, Y6        // sqrt(v)*rootC + eps
	VMULPS      Y1, Y9, Y7          // step*m
	VDIVPS      Y6, Y7, Y7
	VSUBPS      Y7, Y3, Y3          // w -= step*m/(...)
	VMASKMOVPS  Y1, Y12, (R8)(DX*1)
	VMASKMOVPS  Y2, Y12, (R9)(DX*1)
	VMASKMOVPS  Y3, Y12, (DI)(DX*1)

done:
	VZEROUPPER
	RET
