//go:build !noasm

#include "textflag.h"
#include "amx_amd64.h"

// T0..T3  sums: run 0 with columns 0..15 and 16..31, run 1 with both
// T4, T5  A of run 0 and 1                        T6, T7  B, columns 0..15 and 16..31
// R11, R15  A of run 0 and 1                      R8      row stride of A, bytes
// BX      B                                       CX      row stride of B, of C or of the bias
// DI      C                                       SI      A, R13 starts, R9 offsets
// R10     from the larger parts of A to the smaller ones, bytes; R12 steps left

// Palette 1; eight tiles of 64 bytes a row and 16 rows.
DATA ·amxPalette+0(SB)/8, $1
DATA ·amxPalette+8(SB)/8, $0
DATA ·amxPalette+16(SB)/8, $0x0040004000400040
DATA ·amxPalette+24(SB)/8, $0x0040004000400040
DATA ·amxPalette+32(SB)/8, $0
DATA ·amxPalette+40(SB)/8, $0
DATA ·amxPalette+48(SB)/8, $0x1010101010101010
DATA ·amxPalette+56(SB)/8, $0
GLOBL ·amxPalette(SB), RODATA|NOPTR, $64

// func amxMultiplyTiles(pairs, steps int, c *float32, a *uint16, split, ld int, starts, offsets *int, b *uint16, bias *float32, mode int)
TEXT ·amxMultiplyTiles(SB), NOSPLIT, $0-88
	LEAQ ·amxPalette(SB), AX
	CONFIGURE_AX
	MOVQ c+16(FP), DI
	MOVQ a+24(FP), SI
	MOVQ split+32(FP), R10
	MOVQ ld+40(FP), R8
	MOVQ starts+48(FP), R13
	SHLQ $1, R10            // split in bytes
	SHLQ $1, R8             // ld in bytes

pair:
	MOVQ  (R13), AX
	LEAQ  (SI)(AX*2), R11     // run 0
	MOVQ  8(R13), AX
	LEAQ  (SI)(AX*2), R15     // run 1
	ADDQ  $16, R13            // starts += 2
	MOVQ  b+64(FP), BX
	MOVQ  offsets+56(FP), R9
	MOVQ  steps+8(FP), R12
	TESTQ $1, mode+80(FP)
	JZ    old                 // if !start
	MOVQ  bias+72(FP), AX
	TESTQ AX, AX
	JZ    zero                // if bias == nil
	XORL  CX, CX              // every row is the bias
	LOAD_BIAS(0, 0)
	LOAD_BIAS(1, 64)
	LOAD_BIAS(2, 0)
	LOAD_BIAS(3, 64)
	JMP   ready

zero:
	ZERO(0)
	ZERO(1)
	ZERO(2)
	ZERO(3)
	JMP ready

old:
	MOVQ $128, CX
	LOAD_DI(0, 0)
	LOAD_DI(1, 64)
	LOAD_DI(2, 2048)
	LOAD_DI(3, 2112)

ready:
	MOVQ  $64, CX
	TESTQ $2, mode+80(FP)
	JNZ   split3

step:
	MOVQ (R9), AX
	ADDQ $8, R9            // the next offset
	LEAQ (R15)(AX*2), DX
	LEAQ (R11)(AX*2), AX
	LOAD_AX(4)             // A of run 0
	LOAD_BX(6, 0)          // B of columns 0..15
	PRODUCT(0, 4, 6)
	LOAD_BX(7, 1024)       // B of columns 16..31
	PRODUCT(1, 4, 7)
	LOAD_DX(5)             // A of run 1
	PRODUCT(2, 5, 6)
	PRODUCT(3, 5, 7)
	ADDQ $2048, BX
	DECQ R12
	JNZ  step
	JMP  done

split3:
	MOVQ (R9), AX
	ADDQ $8, R9
	LEAQ (R15)(AX*2), DX
	LEAQ (R11)(AX*2), AX
	LOAD_AX(4)             // larger parts of A
	LOAD_BX(6, 0)          // smaller parts of B
	PRODUCT(0, 4, 6)
	LOAD_BX(7, 1024)
	PRODUCT(1, 4, 7)
	LOAD_DX(5)
	PRODUCT(2, 5, 6)
	PRODUCT(3, 5, 7)
	LOAD_BX(6, 2048)       // larger parts of B
	PRODUCT(0, 4, 6)
	LOAD_BX(7, 3072)
	PRODUCT(1, 4, 7)
	PRODUCT(2, 5, 6)
	PRODUCT(3, 5, 7)
	ADDQ R10, AX           // smaller parts of A
	ADDQ R10, DX
	LOAD_AX(4)
	PRODUCT(0, 4, 6)
	PRODUCT(1, 4, 7)
	LOAD_DX(5)
	PRODUCT(2, 5, 6)
	PRODUCT(3, 5, 7)
	ADDQ $4096, BX
	DECQ R12
	JNZ  split3

done:
	MOVQ $128, CX
	STORE_DI(0, 0)
	STORE_DI(1, 64)
	STORE_DI(2, 2048)
	STORE_DI(3, 2112)
	ADDQ $4096, DI         // the next pair's sums
	DECQ pairs+0(FP)
	JNZ  pair
	RELEASE
	RET
