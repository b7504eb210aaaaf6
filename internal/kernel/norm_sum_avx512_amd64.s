//go:build !noasm

#include "textflag.h"
#include "vector_amd64.h"

// Both kernels keep the sums of 64 channels in registers and walk down the pixels, then go on to the
// next 64; what is left of c%64 goes 16 channels at a time, the last ones under the mask K2.

// func momentsAVX512(sum, sumsq, x, center *float32, p, c int)
// for each channel { sum += Σ (x-center); sumsq += Σ (x-center)² }; center may be nil.
TEXT ·momentsAVX512(SB), NOSPLIT, $0-48
	MOVQ   sum+0(FP), DI
	MOVQ   sumsq+8(FP), R8
	MOVQ   x+16(FP), SI
	MOVQ   center+24(FP), R9
	MOVQ   p+32(FP), R10
	MOVQ   c+40(FP), BX      // channels left
	LEAQ   (BX*4), R11       // bytes from pixel to pixel
	MASKS512(BX)
	VPXORQ Z16, Z16, Z16     // centers, 0 when there are none
	VPXORQ Z17, Z17, Z17
	VPXORQ Z18, Z18, Z18
	VPXORQ Z19, Z19, Z19

four:
	CMPQ    BX, $64
	JLT     one
	TESTQ   R9, R9
	JEQ     fourzero
	VMOVUPS (R9), Z16
	VMOVUPS 64(R9), Z17
	VMOVUPS 128(R9), Z18
	VMOVUPS 192(R9), Z19
	ADDQ    $256, R9

fourzero:
	VPXORQ Z0, Z0, Z0 // sums
	VPXORQ Z1, Z1, Z1
	VPXORQ Z2, Z2, Z2
	VPXORQ Z3, Z3, Z3
	VPXORQ Z4, Z4, Z4 // sums of squares
	VPXORQ Z5, Z5, Z5
	VPXORQ Z6, Z6, Z6
	VPXORQ Z7, Z7, Z7
	MOVQ   SI, DX
	MOVQ   R10, CX

fourpixel:
	VSUBPS      (DX), Z16, Z8     // -d = center - x
	VSUBPS      64(DX), Z17, Z9
	VSUBPS      128(DX), Z18, Z10
	VSUBPS      192(DX), Z19, Z11
	VSUBPS      Z8, Z0, Z0        // sum += d
	VSUBPS      Z9, Z1, Z1
	VSUBPS      Z10, Z2, Z2
	VSUBPS      Z11, Z3, Z3
	VFMADD231PS Z8, Z8, Z4        // sumsq += d*d
	VFMADD231PS Z9, Z9, Z5
	VFMADD231PS Z10, Z10, Z6
	VFMADD231PS Z11, Z11, Z7
	ADDQ        R11, DX
	DECQ        CX
	JNZ         fourpixel

	VADDPS  (DI), Z0, Z0
	VADDPS  64(DI), Z1, Z1
	VADDPS  128(DI), Z2, Z2
	VADDPS  192(DI), Z3, Z3
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
	VADDPS  (R8), Z4, Z4
	VADDPS  64(R8), Z5, Z5
	VADDPS  128(R8), Z6, Z6
	VADDPS  192(R8), Z7, Z7
	VMOVUPS Z4, (R8)
	VMOVUPS Z5, 64(R8)
	VMOVUPS Z6, 128(R8)
	VMOVUPS Z7, 192(R8)
	ADDQ    $256, SI
	ADDQ    $256, DI
	ADDQ    $256, R8
	SUBQ    $64, BX
	JMP     four

one:
	TESTQ BX, BX
	JLE   done
	CMPQ  BX, $16
	JGE   onebody
	KMOVW K2, K1

onebody:
	TESTQ     R9, R9
	JEQ       onezero
	VMOVUPS.Z (R9), K1, Z16
	ADDQ      $64, R9

onezero:
	VPXORQ Z0, Z0, Z0 // sum
	VPXORQ Z4, Z4, Z4 // sum of squares
	MOVQ   SI, DX
	MOVQ   R10, CX

onepixel:
	VSUBPS.Z    (DX), Z16, K1, Z8 // -d
	VSUBPS      Z8, Z0, Z0        // sum += d
	VFMADD231PS Z8, Z8, Z4        // sumsq += d*d
	ADDQ        R11, DX
	DECQ        CX
	JNZ         onepixel

	VADDPS.Z (DI), Z0, K1, Z0
	VMOVUPS  Z0, K1, (DI)
	VADDPS.Z (R8), Z4, K1, Z4
	VMOVUPS  Z4, K1, (R8)
	ADDQ     $64, SI
	ADDQ     $64, DI
	ADDQ     $64, R8
	SUBQ     $16, BX
	JMP      one

done:
	VZEROUPPER
	RET

// func sumsAVX512(sum, x *float32, p, c int)
// for each channel { sum += Σ x }
TEXT ·sumsAVX512(SB), NOSPLIT, $0-32
	MOVQ sum+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ p+16(FP), R10
	MOVQ c+24(FP), BX
	LEAQ (BX*4), R11
	MASKS512(BX)

four:
	CMPQ   BX, $64
	JLT    one
	VPXORQ Z0, Z0, Z0
	VPXORQ Z1, Z1, Z1
	VPXORQ Z2, Z2, Z2
	VPXORQ Z3, Z3, Z3
	MOVQ   SI, DX
	MOVQ   R10, CX

fourpixel:
	VADDPS (DX), Z0, Z0    // sum += x
	VADDPS 64(DX), Z1, Z1
	VADDPS 128(DX), Z2, Z2
	VADDPS 192(DX), Z3, Z3
	ADDQ   R11, DX
	DECQ   CX
	JNZ    fourpixel

	VADDPS  (DI), Z0, Z0
	VADDPS  64(DI), Z1, Z1
	VADDPS  128(DI), Z2, Z2
	VADDPS  192(DI), Z3, Z3
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
	ADDQ    $256, SI
	ADDQ    $256, DI
	SUBQ    $64, BX
	JMP     four

one:
	TESTQ BX, BX
	JLE   done
	CMPQ  BX, $16
	JGE   onebody
	KMOVW K2, K1

onebody:
	VPXORQ Z0, Z0, Z0
	MOVQ   SI, DX
	MOVQ   R10, CX

onepixel:
	VMOVUPS.Z (DX), K1, Z8
	VADDPS    Z8, Z0, Z0   // sum += x
	ADDQ      R11, DX
	DECQ      CX
	JNZ       onepixel

	VADDPS.Z (DI), Z0, K1, Z0
	VMOVUPS  Z0, K1, (DI)
	ADDQ     $64, SI
	ADDQ     $64, DI
	SUBQ     $16, BX
	JMP      one

done:
	VZEROUPPER
	RET
