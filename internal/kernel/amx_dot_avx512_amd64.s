//go:build !noasm

#include "textflag.h"

// Z C += pairs of Z B times pairs of Z A (VDPBF16PS, which the assembler has no name for), C in 0..15, B and A in 16..23
#define DOT(C, B, A) BYTE $0x62; BYTE $(0xB2-((C)&8)<<4); BYTE $(0x06|(31-(B))<<3); BYTE $0x40; BYTE $0x52; BYTE $(0xC0|((C)&7)<<3|((A)&7))

// Two products of a pair of A with 32 columns of B.
#define ROW(addr, tmp, N, lo, hi) \
	VPBROADCASTD addr, tmp \
	DOT(lo, 17, N)         \
	DOT(hi, 18, N)

#define LOAD(lo, hi) \
	VMOVUPS (AX), lo   \
	VMOVUPS 64(AX), hi \
	ADDQ    CX, AX

#define STORE(lo, hi) \
	VMOVUPS lo, (DI)   \
	VMOVUPS hi, 64(DI) \
	ADDQ    $128, DI

#define ZERO(lo, hi) \
	VPXORD lo, lo, lo \
	VPXORD hi, hi, hi

// Eight rows and 32 columns of sums at a time: row r is Z(2r), Z(2r+1).
// DX, AX  A: the rows, and the step's pair        R8      row stride of A, bytes; R9 = 3*R8, R10 = 5*R8, R11 = 7*R8
// BX      B                                       R15     offsets, R12 steps left, CX pairs left
// DI      C                                       SI      A, R13 starts

// func amxMultiplyDots(runs, steps int, c *float32, a *uint16, ld int, starts, offsets *int, b *uint16, bias *float32, start int)
TEXT ·amxMultiplyDots(SB), NOSPLIT, $8-80
	MOVQ c+16(FP), DI
	MOVQ a+24(FP), SI
	MOVQ ld+32(FP), R8
	MOVQ starts+40(FP), R13
	SHLQ $1, R8             // ld in bytes
	LEAQ (R8)(R8*2), R9
	LEAQ (R8)(R8*4), R10
	LEAQ (R9)(R8*4), R11

run:
	MOVQ (R13), AX
	LEAQ (SI)(AX*2), DX
	ADDQ $8, R13
	MOVQ $2, half-8(SP)

rows:
	CMPQ  start+72(FP), $0
	JEQ   old
	MOVQ  bias+64(FP), AX
	TESTQ AX, AX
	JZ    zero
	XORL  CX, CX              // every row is the bias
	JMP   load

zero:
	ZERO(Z0, Z1)
	ZERO(Z2, Z3)
	ZERO(Z4, Z5)
	ZERO(Z6, Z7)
	ZERO(Z8, Z9)
	ZERO(Z10, Z11)
	ZERO(Z12, Z13)
	ZERO(Z14, Z15)
	JMP ready

old:
	MOVQ DI, AX
	MOVQ $128, CX

load:
	LOAD(Z0, Z1)
	LOAD(Z2, Z3)
	LOAD(Z4, Z5)
	LOAD(Z6, Z7)
	LOAD(Z8, Z9)
	LOAD(Z10, Z11)
	LOAD(Z12, Z13)
	LOAD(Z14, Z15)

ready:
	MOVQ b+56(FP), BX
	MOVQ offsets+48(FP), R15
	MOVQ steps+8(FP), R12

step:
	MOVQ (R15), AX
	LEAQ (DX)(AX*2), AX
	ADDQ $8, R15            // the next offset
	MOVQ $16, CX

pair:
	VMOVUPS (BX), Z17       // B of columns 0..15
	VMOVUPS 1024(BX), Z18   // and 16..31
	ROW((AX), Z16, 16, 0, 1)
	ROW((AX)(R8*1), Z19, 19, 2, 3)
	ROW((AX)(R8*2), Z16, 16, 4, 5)
	ROW((AX)(R9*1), Z19, 19, 6, 7)
	ROW((AX)(R8*4), Z16, 16, 8, 9)
	ROW((AX)(R10*1), Z19, 19, 10, 11)
	ROW((AX)(R9*2), Z16, 16, 12, 13)
	ROW((AX)(R11*1), Z19, 19, 14, 15)
	ADDQ    $4, AX
	ADDQ    $64, BX
	DECQ    CX
	JNZ     pair
	ADDQ    $1024, BX       // over the second tile
	DECQ    R12
	JNZ     step
	STORE(Z0, Z1)
	STORE(Z2, Z3)
	STORE(Z4, Z5)
	STORE(Z6, Z7)
	STORE(Z8, Z9)
	STORE(Z10, Z11)
	STORE(Z12, Z13)
	STORE(Z14, Z15)
	LEAQ    (DX)(R8*8), DX  // the next eight rows
	DECQ    half-8(SP)
	JNZ     rows
	DECQ    runs+0(FP)
	JNZ     run
	VZEROUPPER
	RET

// func peakDots(turns int) float32
// for i < turns { for each of the 16 sums: s += 0.5 * 1 + 0 * 0 }
TEXT ·peakDots(SB), NOSPLIT, $0-12
	MOVQ         turns+0(FP), CX
	MOVL         $0x3f00, AX // 0.5, 0
	VPBROADCASTD AX, Z16
	MOVL         $0x3f80, AX // 1, 0
	VPBROADCASTD AX, Z17
	ZERO(Z0, Z1)
	ZERO(Z2, Z3)
	ZERO(Z4, Z5)
	ZERO(Z6, Z7)
	ZERO(Z8, Z9)
	ZERO(Z10, Z11)
	ZERO(Z12, Z13)
	ZERO(Z14, Z15)

turn:
	DOT(0, 17, 16)
	DOT(1, 17, 16)
	DOT(2, 17, 16)
	DOT(3, 17, 16)
	DOT(4, 17, 16)
	DOT(5, 17, 16)
	DOT(6, 17, 16)
	DOT(7, 17, 16)
	DOT(8, 17, 16)
	DOT(9, 17, 16)
	DOT(10, 17, 16)
	DOT(11, 17, 16)
	DOT(12, 17, 16)
	DOT(13, 17, 16)
	DOT(14, 17, 16)
	DOT(15, 17, 16)
	DECQ  CX
	JNZ   turn
	MOVSS X0, ret+8(FP)
	VZEROUPPER
	RET
