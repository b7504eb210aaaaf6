//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// Both kernels keep the sums of 32 channels in registers and walk down the pixels, then go on to the
// next 32; what is left of c%32 goes 8 channels at a time, the last ones under the mask Y15: all lanes
// until then.

// func momentsAVX2(sum, sumsq, x, center *float32, p, c int)
// for each channel { sum += Σ (x-center); sumsq += Σ (x-center)² }; center may be nil.
TEXT ·momentsAVX2(SB), NOSPLIT, $0-48
	MOVQ   sum+0(FP), DI
	MOVQ   sumsq+8(FP), R8
	MOVQ   x+16(FP), SI
	MOVQ   center+24(FP), R9
	MOVQ   p+32(FP), R10
	MOVQ   c+40(FP), BX      // channels left
	LEAQ   (BX*4), R11       // bytes from pixel to pixel
	VXORPS Y8, Y8, Y8        // centers, 0 when there are none
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11

four:
	CMPQ    BX, $32
	JLT     rest
	TESTQ   R9, R9
	JEQ     fourzero
	VMOVUPS (R9), Y8
	VMOVUPS 32(R9), Y9
	VMOVUPS 64(R9), Y10
	VMOVUPS 96(R9), Y11
	ADDQ    $128, R9

fourzero:
	VXORPS Y0, Y0, Y0 // sums
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4 // sums of squares
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	MOVQ   SI, DX
	MOVQ   R10, CX

fourpixel:
	VSUBPS      (DX), Y8, Y12    // -d = center - x
	VSUBPS      32(DX), Y9, Y13
	VSUBPS      64(DX), Y10, Y14
	VSUBPS      96(DX), Y11, Y15
	VSUBPS      Y12, Y0, Y0      // sum += d
	VSUBPS      Y13, Y1, Y1
	VSUBPS      Y14, Y2, Y2
	VSUBPS      Y15, Y3, Y3
	VFMADD231PS Y12, Y12, Y4     // sumsq += d*d
	VFMADD231PS Y13, Y13, Y5
	VFMADD231PS Y14, Y14, Y6
	VFMADD231PS Y15, Y15, Y7
	ADDQ        R11, DX
	DECQ        CX
	JNZ         fourpixel

	VADDPS  (DI), Y0, Y0
	VADDPS  32(DI), Y1, Y1
	VADDPS  64(DI), Y2, Y2
	VADDPS  96(DI), Y3, Y3
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VADDPS  (R8), Y4, Y4
	VADDPS  32(R8), Y5, Y5
	VADDPS  64(R8), Y6, Y6
	VADDPS  96(R8), Y7, Y7
	VMOVUPS Y4, (R8)
	VMOVUPS Y5, 32(R8)
	VMOVUPS Y6, 64(R8)
	VMOVUPS Y7, 96(R8)
	ADDQ    $128, SI
	ADDQ    $128, DI
	ADDQ    $128, R8
	SUBQ    $32, BX
	JMP     four

rest:
	VPCMPEQD Y15, Y15, Y15 // all lanes

one:
	TESTQ BX, BX
	JLE   done
	CMPQ  BX, $8
	JGE   onebody
	MASK256(BX, Y15)

onebody:
	TESTQ      R9, R9
	JEQ        onezero
	VMASKMOVPS (R9), Y15, Y8
	ADDQ       $32, R9

onezero:
	VXORPS Y0, Y0, Y0 // sum
	VXORPS Y4, Y4, Y4 // sum of squares
	MOVQ   SI, DX
	MOVQ   R10, CX

onepixel:
	VMASKMOVPS  (DX), Y15, Y12
	VSUBPS      Y8, Y12, Y12   // d = x - center
	VADDPS      Y12, Y0, Y0    // sum += d
	VFMADD231PS Y12, Y12, Y4   // sumsq += d*d
	ADDQ        R11, DX
	DECQ        CX
	JNZ         onepixel

	VMASKMOVPS (DI), Y15, Y1
	VADDPS     Y1, Y0, Y0
	VMASKMOVPS Y0, Y15, (DI)
	VMASKMOVPS (R8), Y15, Y5
	VADDPS     Y5, Y4, Y4
	VMASKMOVPS Y4, Y15, (R8)
	ADDQ       $32, SI
	ADDQ       $32, DI
	ADDQ       $32, R8
	SUBQ       $8, BX
	JMP        one

done:
	VZEROUPPER
	RET

// func sumsAVX2(sum, x *float32, p, c int)
// for each channel { sum += Σ x }
TEXT ·sumsAVX2(SB), NOSPLIT, $0-32
	MOVQ sum+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ p+16(FP), R10
	MOVQ c+24(FP), BX
	LEAQ (BX*4), R11

four:
	CMPQ   BX, $32
	JLT    rest
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	MOVQ   SI, DX
	MOVQ   R10, CX

fourpixel:
	VADDPS (DX), Y0, Y0   // sum += x
	VADDPS 32(DX), Y1, Y1
	VADDPS 64(DX), Y2, Y2
	VADDPS 96(DX), Y3, Y3
	ADDQ   R11, DX
	DECQ   CX
	JNZ    fourpixel

	VADDPS  (DI), Y0, Y0
	VADDPS  32(DI), Y1, Y1
	VADDPS  64(DI), Y2, Y2
	VADDPS  96(DI), Y3, Y3
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	ADDQ    $128, SI
	ADDQ    $128, DI
	SUBQ    $32, BX
	JMP     four

rest:
	VPCMPEQD Y15, Y15, Y15 // all lanes

one:
	TESTQ BX, BX
	JLE   done
	CMPQ  BX, $8
	JGE   onebody
	MASK256(BX, Y15)

onebody:
	VXORPS Y0, Y0, Y0
	MOVQ   SI, DX
	MOVQ   R10, CX

onepixel:
	VMASKMOVPS (DX), Y15, Y8
	VADDPS     Y8, Y0, Y0    // sum += x
	ADDQ       R11, DX
	DECQ       CX
	JNZ        onepixel

	VMASKMOVPS (DI), Y15, Y1
	VADDPS     Y1, Y0, Y0
	VMASKMOVPS Y0, Y15, (DI)
	ADDQ       $32, SI
	ADDQ       $32, DI
	SUBQ       $8, BX
	JMP        one

done:
	VZEROUPPER
	RET
