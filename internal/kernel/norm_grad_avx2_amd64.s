//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// Both kernels walk p rows of c floats in the order of memory; the two sums live in memory, in the
// first-level cache: a row is wide enough to hide the store and reload behind the arithmetic.

// func affineSiLUGradAVX2(dz, dy, x, a, b, s1, s2 *float32, p, c int)
// for each row, channel { d = dy*silu'(x*a[c]+b[c]); dz = d; s1[c] += d; s2[c] += d*x }
TEXT ·affineSiLUGradAVX2(SB), NOSPLIT, $0-72
	MOVQ dz+0(FP), DI
	MOVQ dy+8(FP), R12
	MOVQ x+16(FP), SI
	MOVQ a+24(FP), R8
	MOVQ b+32(FP), R9
	MOVQ p+56(FP), R10
	MOVQ c+64(FP), R11
	MASK256(R11, Y12)
	MOVQ s1+40(FP), AX
	MOVQ s2+48(FP), CX
	EXPCONSTS256

row:
	MOVQ R11, BX
	XORQ DX, DX

channel:
	SUBQ        $8, BX
	JLT         tail
	VMOVUPS     (SI)(DX*1), Y5       // x
	VMOVUPS     (R8)(DX*1), Y1       // a
	VMOVUPS     (R9)(DX*1), Y0       // b
	VFMADD231PS Y5, Y1, Y0           // z = x*a + b
	SILUSLOPE256(Y0, Y1, Y2, Y3, Y4)
	VMOVUPS     (R12)(DX*1), Y6      // dy
	VMULPS      Y4, Y6, Y6           // d = dy*slope
	VMOVUPS     (AX)(DX*1), Y7       // s1
	VMOVUPS     (CX)(DX*1), Y8       // s2
	VADDPS      Y6, Y7, Y7           // s1 += d
	VFMADD231PS Y5, Y6, Y8           // s2 += d*x
	VMOVUPS     Y6, (DI)(DX*1)
	VMOVUPS     Y7, (AX)(DX*1)
	VMOVUPS     Y8, (CX)(DX*1)
	ADDQ        $32, DX
	JMP         channel

tail:
	ADDQ        $8, BX
	JEQ         next
	VMASKMOVPS  (SI)(DX*1), Y12, Y5  // x
	VMASKMOVPS  (R8)(DX*1), Y12, Y1  // a
	VMASKMOVPS  (R9)(DX*1), Y12, Y0  // b
	VFMADD231PS Y5, Y1, Y0           // z = x*a + b
	SILUSLOPE256(Y0, Y1, Y2, Y3, Y4)
	VMASKMOVPS  (R12)(DX*1), Y12, Y6 // dy
	VMULPS      Y4, Y6, Y6           // d = dy*slope
	VMASKMOVPS  (AX)(DX*1), Y12, Y7  // s1
	VMASKMOVPS  (CX)(DX*1), Y12, Y8  // s2
	VADDPS      Y6, Y7, Y7           // s1 += d
	VFMADD231PS Y5, Y6, Y8           // s2 += d*x
	VMASKMOVPS  Y6, Y12, (DI)(DX*1)
	VMASKMOVPS  Y7, Y12, (AX)(DX*1)
	VMASKMOVPS  Y8, Y12, (CX)(DX*1)

next:
	LEAQ (SI)(R11*4), SI
	LEAQ (DI)(R11*4), DI
	LEAQ (R12)(R11*4), R12
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET

// func affineGradAVX2(dz, dy, x, s1, s2 *float32, p, c int)
// for each row, channel { dz = dy; s1[c] += dy; s2[c] += dy*x }
TEXT ·affineGradAVX2(SB), NOSPLIT, $0-56
	MOVQ dz+0(FP), DI
	MOVQ dy+8(FP), R12
	MOVQ x+16(FP), SI
	MOVQ p+40(FP), R10
	MOVQ c+48(FP), R11
	MASK256(R11, Y12)
	MOVQ s1+24(FP), AX
	MOVQ s2+32(FP), CX

row:
	MOVQ R11, BX
	XORQ DX, DX

channel:
	SUBQ        $8, BX
	JLT         tail
	VMOVUPS     (SI)(DX*1), Y5  // x
	VMOVUPS     (R12)(DX*1), Y6 // dy
	VMOVUPS     (AX)(DX*1), Y7  // s1
	VMOVUPS     (CX)(DX*1), Y8  // s2
	VADDPS      Y6, Y7, Y7      // s1 += dy
	VFMADD231PS Y5, Y6, Y8      // s2 += dy*x
	VMOVUPS     Y6, (DI)(DX*1)
	VMOVUPS     Y7, (AX)(DX*1)
	VMOVUPS     Y8, (CX)(DX*1)
	ADDQ        $32, DX
	JMP         channel

tail:
	ADDQ        $8, BX
	JEQ         next
	VMASKMOVPS  (SI)(DX*1), Y12, Y5  // x
	VMASKMOVPS  (R12)(DX*1), Y12, Y6 // dy
	VMASKMOVPS  (AX)(DX*1), Y12, Y7  // s1
	VMASKMOVPS  (CX)(DX*1), Y12, Y8  // s2
	VADDPS      Y6, Y7, Y7           // s1 += dy
	VFMADD231PS Y5, Y6, Y8           // s2 += dy*x
	VMASKMOVPS  Y6, Y12, (DI)(DX*1)
	VMASKMOVPS  Y7, Y12, (AX)(DX*1)
	VMASKMOVPS  Y8, Y12, (CX)(DX*1)

next:
	LEAQ (SI)(R11*4), SI
	LEAQ (DI)(R11*4), DI
	LEAQ (R12)(R11*4), R12
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET
