//go:build !noasm

#include "textflag.h"

// One tile of 14 rows and 32 columns in 28 registers: row r is Z(2r), Z(2r+1).
// SI, DI  A of the upper and lower seven rows     BX      B
// R8      row stride of A, bytes; R9 = 3*R8, R10 = 5*R8
// R11     k stride of A                           R12     row stride of B
// CX      k counter, DX runs left, R15 k          R13     from the end of a run to the next one

// Two products of one A element with the two halves of B's row.
#define ROW(addr, tmp, lo, hi) \
	VBROADCASTSS addr, tmp     \ // tmp[0..15] = *addr
	VFMADD231PS  Z28, tmp, lo  \ // lo += tmp * b[0..15]
	VFMADD231PS  Z29, tmp, hi  // hi += tmp * b[16..31]

#define LOAD(lo, hi) \
	VMOVUPS (AX), lo   \ // lo = init[0..15]
	VMOVUPS 64(AX), hi \ // hi = init[16..31]
	ADDQ    CX, AX     // init += ldinit

#define STORE(lo, hi) \
	VMOVUPS lo, (AX)   \ // c[0..15] = lo
	VMOVUPS hi, 64(AX) \ // c[16..31] = hi
	ADDQ    CX, AX     // c += ldc

#define ZERO(lo, hi) \
	VPXORD lo, lo, lo \ // lo = 0
	VPXORD hi, hi, hi // hi = 0

// func tile14x32(k, segs, segStep int, a, a2 *float32, rs, ks int, b *float32, bs int, init *float32, ldinit int, c *float32, ldc int)
TEXT ·tile14x32(SB), NOSPLIT, $0-104
	MOVQ  k+0(FP), R15
	MOVQ  segs+8(FP), DX
	MOVQ  segStep+16(FP), R13
	MOVQ  a+24(FP), SI
	MOVQ  a2+32(FP), DI
	MOVQ  rs+40(FP), R8
	MOVQ  ks+48(FP), R11
	MOVQ  b+56(FP), BX
	MOVQ  bs+64(FP), R12
	MOVQ  init+72(FP), AX
	MOVQ  ldinit+80(FP), CX
	SHLQ  $2, R8              // rs in bytes
	SHLQ  $2, R11             // ks in bytes
	SHLQ  $2, R12             // bs in bytes
	SHLQ  $2, R13             // segStep in bytes
	SHLQ  $2, CX              // ldinit in bytes
	LEAQ  (R8)(R8*2), R9      // 3*rs
	LEAQ  (R8)(R8*4), R10     // 5*rs
	TESTQ AX, AX
	JZ    zero                // if init == nil
	LOAD(Z0, Z1)
	LOAD(Z2, Z3)
	LOAD(Z4, Z5)
	LOAD(Z6, Z7)
	LOAD(Z8, Z9)
	LOAD(Z10, Z11)
	LOAD(Z12, Z13)
	LOAD(Z14, Z15)
	LOAD(Z16, Z17)
	LOAD(Z18, Z19)
	LOAD(Z20, Z21)
	LOAD(Z22, Z23)
	LOAD(Z24, Z25)
	LOAD(Z26, Z27)
	JMP   ready

zero:
	ZERO(Z0, Z1)
	ZERO(Z2, Z3)
	ZERO(Z4, Z5)
	ZERO(Z6, Z7)
	ZERO(Z8, Z9)
	ZERO(Z10, Z11)
	ZERO(Z12, Z13)
	ZERO(Z14, Z15)
	ZERO(Z16, Z17)
	ZERO(Z18, Z19)
	ZERO(Z20, Z21)
	ZERO(Z22, Z23)
	ZERO(Z24, Z25)
	ZERO(Z26, Z27)

ready:
	MOVQ  R15, AX
	IMULQ R11, AX
	SUBQ  AX, R13             // segStep -= k*ks: what is left to add after a run

run:
	MOVQ R15, CX              // for CX = k; CX > 0; CX--

step:
	VMOVUPS     (BX), Z28           // b[0..15]
	VMOVUPS     64(BX), Z29         // b[16..31]
	PREFETCHT0  (BX)(R12*8)         // eight rows of B ahead
	PREFETCHT0  64(BX)(R12*8)
	ROW((SI), Z30, Z0, Z1)          // row 0
	ROW((SI)(R8*1), Z31, Z2, Z3)    // row 1
	ROW((SI)(R8*2), Z30, Z4, Z5)    // row 2
	ROW((SI)(R9*1), Z31, Z6, Z7)    // row 3
	ROW((SI)(R8*4), Z30, Z8, Z9)    // row 4
	ROW((SI)(R10*1), Z31, Z10, Z11) // row 5
	ROW((SI)(R9*2), Z30, Z12, Z13)  // row 6
	ROW((DI), Z31, Z14, Z15)        // row 7
	ROW((DI)(R8*1), Z30, Z16, Z17)  // row 8
	ROW((DI)(R8*2), Z31, Z18, Z19)  // row 9
	ROW((DI)(R9*1), Z30, Z20, Z21)  // row 10
	ROW((DI)(R8*4), Z31, Z22, Z23)  // row 11
	ROW((DI)(R10*1), Z30, Z24, Z25) // row 12
	ROW((DI)(R9*2), Z31, Z26, Z27)  // row 13
	ADDQ        R11, SI             // a += ks
	ADDQ        R11, DI             // a2 += ks
	ADDQ        R12, BX             // b += bs
	DECQ        CX
	JNZ         step
	ADDQ        R13, SI             // a += segStep - k*ks
	ADDQ        R13, DI             // a2 += segStep - k*ks
	DECQ        DX
	JNZ         run                 // for each of the segs runs

	MOVQ c+88(FP), AX
	MOVQ ldc+96(FP), CX
	SHLQ $2, CX               // ldc in bytes
	STORE(Z0, Z1)
	STORE(Z2, Z3)
	STORE(Z4, Z5)
	STORE(Z6, Z7)
	STORE(Z8, Z9)
	STORE(Z10, Z11)
	STORE(Z12, Z13)
	STORE(Z14, Z15)
	STORE(Z16, Z17)
	STORE(Z18, Z19)
	STORE(Z20, Z21)
	STORE(Z22, Z23)
	STORE(Z24, Z25)
	STORE(Z26, Z27)
	VZEROUPPER
	RET
