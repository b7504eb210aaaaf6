//go:build !noasm

#include "textflag.h"

// One tile of 6 rows and 16 columns in 12 registers: row r is Y(2r), Y(2r+1).
// SI, DI  A of the upper and lower three rows     BX      B
// R8      row stride of A, bytes                  R11     k stride of A
// R12     row stride of B                         CX      k counter, DX runs left, R15 k
// R13     from the end of a run to the next one

// Two products of one A element with the two halves of B's row.
#define ROW(addr, tmp, lo, hi) \
	VBROADCASTSS addr, tmp     \ // tmp[0..7] = *addr
	VFMADD231PS  Y12, tmp, lo  \ // lo += tmp * b[0..7]
	VFMADD231PS  Y13, tmp, hi  // hi += tmp * b[8..15]

#define LOAD(lo, hi) \
	VMOVUPS (AX), lo   \ // lo = init[0..7]
	VMOVUPS 32(AX), hi \ // hi = init[8..15]
	ADDQ    CX, AX     // init += ldinit

#define STORE(lo, hi) \
	VMOVUPS lo, (AX)   \ // c[0..7] = lo
	VMOVUPS hi, 32(AX) \ // c[8..15] = hi
	ADDQ    CX, AX     // c += ldc

#define ZERO(lo, hi) \
	VXORPS lo, lo, lo \ // lo = 0
	VXORPS hi, hi, hi // hi = 0

// func tile6x16(k, segs, segStep int, a, a2 *float32, rs, ks int, b *float32, bs int, init *float32, ldinit int, c *float32, ldc int)
TEXT ·tile6x16(SB), NOSPLIT, $0-104
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
	TESTQ AX, AX
	JZ    zero                // if init == nil
	LOAD(Y0, Y1)
	LOAD(Y2, Y3)
	LOAD(Y4, Y5)
	LOAD(Y6, Y7)
	LOAD(Y8, Y9)
	LOAD(Y10, Y11)
	JMP   ready

zero:
	ZERO(Y0, Y1)
	ZERO(Y2, Y3)
	ZERO(Y4, Y5)
	ZERO(Y6, Y7)
	ZERO(Y8, Y9)
	ZERO(Y10, Y11)

ready:
	MOVQ  R15, AX
	IMULQ R11, AX
	SUBQ  AX, R13             // segStep -= k*ks: what is left to add after a run

run:
	MOVQ R15, CX              // for CX = k; CX > 0; CX--

step:
	VMOVUPS     (BX), Y12          // b[0..7]
	VMOVUPS     32(BX), Y13        // b[8..15]
	PREFETCHT0  (BX)(R12*8)        // eight rows of B ahead
	ROW((SI), Y14, Y0, Y1)         // row 0
	ROW((SI)(R8*1), Y15, Y2, Y3)   // row 1
	ROW((SI)(R8*2), Y14, Y4, Y5)   // row 2
	ROW((DI), Y15, Y6, Y7)         // row 3
	ROW((DI)(R8*1), Y14, Y8, Y9)   // row 4
	ROW((DI)(R8*2), Y15, Y10, Y11) // row 5
	ADDQ        R11, SI            // a += ks
	ADDQ        R11, DI            // a2 += ks
	ADDQ        R12, BX            // b += bs
	DECQ        CX
	JNZ         step
	ADDQ        R13, SI            // a += segStep - k*ks
	ADDQ        R13, DI            // a2 += segStep - k*ks
	DECQ        DX
	JNZ         run                // for each of the segs runs

	MOVQ c+88(FP), AX
	MOVQ ldc+96(FP), CX
	SHLQ $2, CX               // ldc in bytes
	STORE(Y0, Y1)
	STORE(Y2, Y3)
	STORE(Y4, Y5)
	STORE(Y6, Y7)
	STORE(Y8, Y9)
	STORE(Y10, Y11)
	VZEROUPPER
	RET
