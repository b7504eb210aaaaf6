//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// The flat loops do 8 floats a turn; what is left of n%8 goes under the mask Y12.

// func scaleAVX2(dst, x *float32, n int, a float32)
// for i < n { dst[i] = a*x[i] }
TEXT ·scaleAVX2(SB), NOSPLIT, $0-28
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         n+16(FP), BX
	VBROADCASTSS a+24(FP), Y4
	XORQ         DX, DX        // byte offset
	MASK256(BX, Y12)

loop:
	SUBQ    $8, BX
	JLT     tail
	VMOVUPS (SI)(DX*1), Y0
	VMULPS  Y0, Y4, Y0     // a*x
	VMOVUPS Y0, (DI)(DX*1)
	ADDQ    $32, DX
	JMP     loop

tail:
	ADDQ       $8, BX
	JEQ        done
	VMASKMOVPS (SI)(DX*1), Y12, Y0
	VMULPS     Y0, Y4, Y0          // a*x
	VMASKMOVPS Y0, Y12, (DI)(DX*1)

done:
	VZEROUPPER
	RET

// func addAVX2(dst, x, y *float32, n int, a, b float32)
// for i < n { dst[i] = a*x[i] + b*y[i] }
TEXT ·addAVX2(SB), NOSPLIT, $0-40
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         y+16(FP), R8
	MOVQ         n+24(FP), BX
	VBROADCASTSS a+32(FP), Y4
	VBROADCASTSS b+36(FP), Y5
	XORQ         DX, DX        // byte offset
	MASK256(BX, Y12)

loop:
	SUBQ        $8, BX
	JLT         tail
	VMOVUPS     (SI)(DX*1), Y0
	VMOVUPS     (R8)(DX*1), Y1
	VMULPS      Y1, Y5, Y1     // b*y
	VFMADD231PS Y0, Y4, Y1     // + a*x
	VMOVUPS     Y1, (DI)(DX*1)
	ADDQ        $32, DX
	JMP         loop

tail:
	ADDQ        $8, BX
	JEQ         done
	VMASKMOVPS  (SI)(DX*1), Y12, Y0
	VMASKMOVPS  (R8)(DX*1), Y12, Y1
	VMULPS      Y1, Y5, Y1          // b*y
	VFMADD231PS Y0, Y4, Y1          // + a*x
	VMASKMOVPS  Y1, Y12, (DI)(DX*1)

done:
	VZEROUPPER
	RET

// func mulAVX2(dst, x, y *float32, n int)
// for i < n { dst[i] = x[i]*y[i] }
TEXT ·mulAVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ y+16(FP), R8
	MOVQ n+24(FP), BX
	XORQ DX, DX        // byte offset
	MASK256(BX, Y12)

loop:
	SUBQ    $8, BX
	JLT     tail
	VMOVUPS (SI)(DX*1), Y0
	VMOVUPS (R8)(DX*1), Y1
	VMULPS  Y1, Y0, Y0     // x*y
	VMOVUPS Y0, (DI)(DX*1)
	ADDQ    $32, DX
	JMP     loop

tail:
	ADDQ       $8, BX
	JEQ        done
	VMASKMOVPS (SI)(DX*1), Y12, Y0
	VMASKMOVPS (R8)(DX*1), Y12, Y1
	VMULPS     Y1, Y0, Y0          // x*y
	VMASKMOVPS Y0, Y12, (DI)(DX*1)

done:
	VZEROUPPER
	RET

// func maxAVX2(dst, x, y *float32, n int)
// for i < n { dst[i] = max(x[i], y[i]) }, NaN where either is
TEXT ·maxAVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ y+16(FP), R8
	MOVQ n+24(FP), BX
	XORQ DX, DX        // byte offset
	MASK256(BX, Y12)

loop:
	SUBQ      $8, BX
	JLT       tail
	VMOVUPS   (SI)(DX*1), Y0
	VMOVUPS   (R8)(DX*1), Y1
	VCMPPS    $3, Y0, Y0, Y3     // x is NaN
	VMAXPS    Y1, Y0, Y1         // max(x, y), y where either is NaN
	VBLENDVPS Y3, Y0, Y1, Y1     // x where it is NaN
	VMOVUPS   Y1, (DI)(DX*1)
	ADDQ      $32, DX
	JMP       loop

tail:
	ADDQ       $8, BX
	JEQ        done
	VMASKMOVPS (SI)(DX*1), Y12, Y0
	VMASKMOVPS (R8)(DX*1), Y12, Y1
	VCMPPS     $3, Y0, Y0, Y3
	VMAXPS     Y1, Y0, Y1
	VBLENDVPS  Y3, Y0, Y1, Y1
	VMASKMOVPS Y1, Y12, (DI)(DX*1)

done:
	VZEROUPPER
	RET

// func lerpAVX2(dst, x *float32, n int, beta float32)
// for i < n { dst[i] = x[i] + beta*(dst[i]-x[i]) }
TEXT ·lerpAVX2(SB), NOSPLIT, $0-28
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         n+16(FP), BX
	VBROADCASTSS beta+24(FP), Y4
	XORQ         DX, DX          // byte offset
	MASK256(BX, Y12)

loop:
	SUBQ        $8, BX
	JLT         tail
	VMOVUPS     (SI)(DX*1), Y0
	VMOVUPS     (DI)(DX*1), Y1
	VSUBPS      Y0, Y1, Y1     // dst - x
	VFMADD231PS Y1, Y4, Y0     // x + beta*(dst-x)
	VMOVUPS     Y0, (DI)(DX*1)
	ADDQ        $32, DX
	JMP         loop

tail:
	ADDQ        $8, BX
	JEQ         done
	VMASKMOVPS  (SI)(DX*1), Y12, Y0
	VMASKMOVPS  (DI)(DX*1), Y12, Y1
	VSUBPS      Y0, Y1, Y1          // dst - x
	VFMADD231PS Y1, Y4, Y0          // x + beta*(dst-x)
	VMASKMOVPS  Y0, Y12, (DI)(DX*1)

done:
	VZEROUPPER
	RET

// func addStridedAVX2(dst, src *float32, dstStride, srcStride, rows, cols int, a float32)
// for r < rows { for i < cols { dst[r*dstStride+i] += a*src[r*srcStride+i] } }
TEXT ·addStridedAVX2(SB), NOSPLIT, $0-52
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         dstStride+16(FP), R8
	MOVQ         srcStride+24(FP), R9
	MOVQ         rows+32(FP), R10
	MOVQ         cols+40(FP), R11
	VBROADCASTSS a+48(FP), Y4
	SHLQ         $2, R8               // strides in bytes
	SHLQ         $2, R9
	MASK256(R11, Y12)

row:
	MOVQ R11, BX // columns left
	XORQ DX, DX  // byte offset in the row

two:
	CMPQ        BX, $16
	JLT         one
	VMOVUPS     (DI)(DX*1), Y0
	VMOVUPS     32(DI)(DX*1), Y1
	VFMADD231PS (SI)(DX*1), Y4, Y0   // d += a*s
	VFMADD231PS 32(SI)(DX*1), Y4, Y1
	VMOVUPS     Y0, (DI)(DX*1)
	VMOVUPS     Y1, 32(DI)(DX*1)
	ADDQ        $64, DX
	SUBQ        $16, BX
	JMP         two

one:
	SUBQ        $8, BX
	JLT         tail
	VMOVUPS     (DI)(DX*1), Y0
	VFMADD231PS (SI)(DX*1), Y4, Y0 // d += a*s
	VMOVUPS     Y0, (DI)(DX*1)
	ADDQ        $32, DX
	JMP         one

tail:
	ADDQ        $8, BX
	JEQ         next
	VMASKMOVPS  (DI)(DX*1), Y12, Y0
	VMASKMOVPS  (SI)(DX*1), Y12, Y1
	VFMADD231PS Y1, Y4, Y0          // d += a*s
	VMASKMOVPS  Y0, Y12, (DI)(DX*1)

next:
	ADDQ R8, DI
	ADDQ R9, SI
	DECQ R10
	JNZ  row
	VZEROUPPER
	RET
