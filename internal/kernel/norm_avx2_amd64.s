//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// The kernels of this file walk p rows of c floats in the order of memory, 8 floats a turn; per-channel
// coefficients come from the first-level cache. DX is the byte offset in the row, BX the channels
// left; the last c%8 go under the mask Y12.

// func affineAVX2(dst, x, a, b *float32, p, c int)
// for each row, channel { dst = x*a[c] + b[c] }
TEXT ·affineAVX2(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ a+16(FP), R8
	MOVQ b+24(FP), R9
	MOVQ p+32(FP), R10
	MOVQ c+40(FP), R11
	MASK256(R11, Y12)

row:
	MOVQ R11, BX
	XORQ DX, DX

channel:
	SUBQ        $8, BX
	JLT         tail
	VMOVUPS     (SI)(DX*1), Y0
	VMOVUPS     (R8)(DX*1), Y1
	VMOVUPS     (R9)(DX*1), Y2
	VFMADD213PS Y2, Y1, Y0     // x*a + b
	VMOVUPS     Y0, (DI)(DX*1)
	ADDQ        $32, DX
	JMP         channel

tail:
	ADDQ        $8, BX
	JEQ         next
	VMASKMOVPS  (SI)(DX*1), Y12, Y0
	VMASKMOVPS  (R8)(DX*1), Y12, Y1
	VMASKMOVPS  (R9)(DX*1), Y12, Y2
	VFMADD213PS Y2, Y1, Y0          // x*a + b
	VMASKMOVPS  Y0, Y12, (DI)(DX*1)

next:
	LEAQ (SI)(R11*4), SI
	LEAQ (DI)(R11*4), DI
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET

// func affineSiLUAVX2(dst, x, a, b *float32, p, c int)
// for each row, channel { dst = silu(x*a[c] + b[c]) }
TEXT ·affineSiLUAVX2(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ a+16(FP), R8
	MOVQ b+24(FP), R9
	MOVQ p+32(FP), R10
	MOVQ c+40(FP), R11
	MASK256(R11, Y12)
	EXPCONSTS256

row:
	MOVQ R11, BX
	XORQ DX, DX

channel:
	SUBQ        $8, BX
	JLT         tail
	VMOVUPS     (SI)(DX*1), Y0
	VMOVUPS     (R8)(DX*1), Y1
	VMOVUPS     (R9)(DX*1), Y2
	VFMADD213PS Y2, Y1, Y0      // z = x*a + b
	SILU256(Y0, Y1, Y2, Y3, Y4)
	VMOVUPS     Y0, (DI)(DX*1)
	ADDQ        $32, DX
	JMP         channel

tail:
	ADDQ        $8, BX
	JEQ         next
	VMASKMOVPS  (SI)(DX*1), Y12, Y0
	VMASKMOVPS  (R8)(DX*1), Y12, Y1
	VMASKMOVPS  (R9)(DX*1), Y12, Y2
	VFMADD213PS Y2, Y1, Y0          // z = x*a + b
	SILU256(Y0, Y1, Y2, Y3, Y4)
	VMASKMOVPS  Y0, Y12, (DI)(DX*1)

next:
	LEAQ (SI)(R11*4), SI
	LEAQ (DI)(R11*4), DI
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET

// func affineAddGradAVX2(dx, dz, x, ca, cb, cc *float32, p, c int)
// for each row, channel { dx += dz*ca[c] + x*cb[c] + cc[c] }
TEXT ·affineAddGradAVX2(SB), NOSPLIT, $0-64
	MOVQ dx+0(FP), DI
	MOVQ dz+8(FP), R12
	MOVQ x+16(FP), SI
	MOVQ ca+24(FP), R8
	MOVQ cb+32(FP), R9
	MOVQ cc+40(FP), R13
	MOVQ p+48(FP), R10
	MOVQ c+56(FP), R11
	MASK256(R11, Y12)

row:
	MOVQ R11, BX
	XORQ DX, DX

channel:
	SUBQ        $8, BX
	JLT         tail
	VMOVUPS     (R13)(DX*1), Y0 // cc
	VMOVUPS     (R12)(DX*1), Y1 // dz
	VMOVUPS     (R8)(DX*1), Y2  // ca
	VMOVUPS     (SI)(DX*1), Y3  // x
	VMOVUPS     (R9)(DX*1), Y4  // cb
	VMOVUPS     (DI)(DX*1), Y5  // dx
	VFMADD231PS Y1, Y2, Y0      // + dz*ca
	VFMADD231PS Y3, Y4, Y0      // + x*cb
	VADDPS      Y0, Y5, Y0      // + dx
	VMOVUPS     Y0, (DI)(DX*1)
	ADDQ        $32, DX
	JMP         channel

tail:
	ADDQ        $8, BX
	JEQ         next
	VMASKMOVPS  (R13)(DX*1), Y12, Y0 // cc
	VMASKMOVPS  (R12)(DX*1), Y12, Y1 // dz
	VMASKMOVPS  (R8)(DX*1), Y12, Y2  // ca
	VMASKMOVPS  (SI)(DX*1), Y12, Y3  // x
	VMASKMOVPS  (R9)(DX*1), Y12, Y4  // cb
	VMASKMOVPS  (DI)(DX*1), Y12, Y5  // dx
	VFMADD231PS Y1, Y2, Y0           // + dz*ca
	VFMADD231PS Y3, Y4, Y0           // + x*cb
	VADDPS      Y0, Y5, Y0           // + dx
	VMASKMOVPS  Y0, Y12, (DI)(DX*1)

next:
	LEAQ (SI)(R11*4), SI
	LEAQ (DI)(R11*4), DI
	LEAQ (R12)(R11*4), R12
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET

// func addChannelsAVX2(dst, x, e *float32, p, c int)
// for each row, channel { dst = x + e[c] }
TEXT ·addChannelsAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ e+16(FP), R8
	MOVQ p+24(FP), R10
	MOVQ c+32(FP), R11
	MASK256(R11, Y12)

row:
	MOVQ R11, BX
	XORQ DX, DX

channel:
	SUBQ    $8, BX
	JLT     tail
	VMOVUPS (SI)(DX*1), Y0
	VMOVUPS (R8)(DX*1), Y1
	VADDPS  Y1, Y0, Y0     // x + e
	VMOVUPS Y0, (DI)(DX*1)
	ADDQ    $32, DX
	JMP     channel

tail:
	ADDQ       $8, BX
	JEQ        next
	VMASKMOVPS (SI)(DX*1), Y12, Y0
	VMASKMOVPS (R8)(DX*1), Y12, Y1
	VADDPS     Y1, Y0, Y0          // x + e
	VMASKMOVPS Y0, Y12, (DI)(DX*1)

next:
	LEAQ (SI)(R11*4), SI
	LEAQ (DI)(R11*4), DI
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET
