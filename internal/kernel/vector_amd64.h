// Macros shared by the vector, norm, softmax and Adam kernels.
//
// The exponential: exp(-t) = 2^n * exp(-r), n = round(-t*log2 e), r = t + n*ln2 in two parts
// (Cody & Waite 1980), exp(-r) by a polynomial of degree 5 whose relative error on |r| <= ln2/2 is
// 1.1e-7 (fitted here by Remez exchange with the first two coefficients held at 1). n is rounded by
// adding 1.5*2^23+127, which leaves n+127 in the low bits: shifted by 23 they are the float 2^n.
// A NaN in t comes out as NaN: the last step is a product with the polynomial.

// Offsets in ·expTable.
#define EXP_LO 0
#define EXP_HI 32
#define EXP_MAGIC 64
#define EXP_NLOG2E 96
#define EXP_LN2HI 128
#define EXP_LN2LO 160
#define EXP_D5 192
#define EXP_D4 224
#define EXP_D3 256
#define EXP_D2 288
#define EXP_D1 320
#define EXP_ONE 352
#define EXP_TINY 384

// Z20..Z31 hold the constants of EXPNEG512, SIGMOID512 for a whole kernel.
#define EXPCONSTS512 \
	VBROADCASTSS ·expTable+EXP_LO(SB), Z31     \ // -86
	VBROADCASTSS ·expTable+EXP_HI(SB), Z30     \ // 86
	VBROADCASTSS ·expTable+EXP_MAGIC(SB), Z29  \ // 1.5*2^23+127
	VBROADCASTSS ·expTable+EXP_NLOG2E(SB), Z28 \ // -log2 e
	VBROADCASTSS ·expTable+EXP_LN2HI(SB), Z27  \ // ln2, high
	VBROADCASTSS ·expTable+EXP_LN2LO(SB), Z26  \ // ln2, low
	VBROADCASTSS ·expTable+EXP_D5(SB), Z25     \
	VBROADCASTSS ·expTable+EXP_D4(SB), Z24     \
	VBROADCASTSS ·expTable+EXP_D3(SB), Z23     \
	VBROADCASTSS ·expTable+EXP_D2(SB), Z22     \
	VBROADCASTSS ·expTable+EXP_D1(SB), Z21     \ // -1
	VBROADCASTSS ·expTable+EXP_ONE(SB), Z20      // 1

// P = exp(-T) for |T| <= 87.33; T and N are lost.
#define EXPNEG512(T, N, P) \
	VMOVAPS     Z29, N       \
	VFMADD231PS Z28, T, N    \ // N = magic - t*log2e
	VSUBPS      Z29, N, P    \ // P = n
	VFMADD231PS Z27, P, T    \ // T += n*ln2hi
	VFMADD231PS Z26, P, T    \ // T += n*ln2lo
	VMOVAPS     Z25, P       \
	VFMADD213PS Z24, T, P    \ // P = d5*r + d4
	VFMADD213PS Z23, T, P    \
	VFMADD213PS Z22, T, P    \
	VFMADD213PS Z21, T, P    \
	VFMADD213PS Z20, T, P    \
	VPSLLD      $23, N, N    \ // N = 2^n
	VMULPS      N, P, P        // P = 2^n * exp(-r)

// S = 1/(1+exp(-T)) and P = exp(-T) for |T| <= 86; T and N are lost. The reciprocal is the 14-bit
// estimate and one Newton step; 1+exp(86) keeps it above the denormals.
#define SIGMOID512(T, N, P, S) \
	EXPNEG512(T, N, P)         \
	VADDPS       Z20, P, T     \ // T = 1 + exp(-t)
	VRCP14PS     T, S          \ // S ~ 1/T
	VMOVAPS      Z20, N        \
	VFNMADD231PS T, S, N       \ // N = 1 - T*S
	VFMADD213PS  S, N, S         // S = S + S*N

// Z = silu(Z); T, N, P and S are lost. Below -86 the factor is held at -86, where silu is 4e-36 from 0.
#define SILU512(Z, T, N, P, S) \
	VMAXPS Z, Z31, Z           \ // Z = max(-86, Z), NaN kept
	VMINPS Z, Z30, T           \ // T = min(86, Z), NaN kept
	SIGMOID512(T, N, P, S)     \
	VMULPS S, Z, Z

// S = silu'(Z) = s(1+z(1-s)) with z held in [-86, 86]; Z, T, N and P are lost.
#define SILUSLOPE512(Z, T, N, P, S) \
	VMAXPS      Z, Z31, Z      \ // Z = max(-86, Z), NaN kept
	VMINPS      Z, Z30, Z      \ // Z = min(86, Z), NaN kept
	VMOVAPS     Z, T           \
	SIGMOID512(T, N, P, S)     \
	VMULPS      S, P, N        \ // N = 1 - s, as exp(-z)*s: no cancellation
	VFMADD213PS Z20, N, Z      \ // Z = 1 + z*N
	VMULPS      Z, S, S

// The same four vectors at a time, the chains side by side: one chain is a long string of dependent
// instructions, and the scheduler sees too few of them at once to fill both ports. In vector i of four,
// T is Z(i), N Z(4+i), P Z(8+i), S Z(12+i) and Z Z(16+i).

// Z16..Z19 = silu of themselves; Z0..Z15 are lost.
#define SILU512X4 \
	VMAXPS Z16, Z31, Z16; VMAXPS Z17, Z31, Z17; VMAXPS Z18, Z31, Z18; VMAXPS Z19, Z31, Z19                 \ // Z = max(-86, Z), NaN kept
	VMINPS Z16, Z30, Z0; VMINPS Z17, Z30, Z1; VMINPS Z18, Z30, Z2; VMINPS Z19, Z30, Z3                     \ // T = min(86, Z), NaN kept
	VMOVAPS Z29, Z4; VMOVAPS Z29, Z5; VMOVAPS Z29, Z6; VMOVAPS Z29, Z7                                     \
	VFMADD231PS Z28, Z0, Z4; VFMADD231PS Z28, Z1, Z5; VFMADD231PS Z28, Z2, Z6; VFMADD231PS Z28, Z3, Z7     \ // N = magic - t*log2e
	VSUBPS Z29, Z4, Z8; VSUBPS Z29, Z5, Z9; VSUBPS Z29, Z6, Z10; VSUBPS Z29, Z7, Z11                       \ // P = n
	VFMADD231PS Z27, Z8, Z0; VFMADD231PS Z27, Z9, Z1; VFMADD231PS Z27, Z10, Z2; VFMADD231PS Z27, Z11, Z3   \ // T += n*ln2hi
	VFMADD231PS Z26, Z8, Z0; VFMADD231PS Z26, Z9, Z1; VFMADD231PS Z26, Z10, Z2; VFMADD231PS Z26, Z11, Z3   \ // T += n*ln2lo
	VMOVAPS Z25, Z8; VMOVAPS Z25, Z9; VMOVAPS Z25, Z10; VMOVAPS Z25, Z11                                   \
	VFMADD213PS Z24, Z0, Z8; VFMADD213PS Z24, Z1, Z9; VFMADD213PS Z24, Z2, Z10; VFMADD213PS Z24, Z3, Z11   \ // P = d5*r + d4
	VFMADD213PS Z23, Z0, Z8; VFMADD213PS Z23, Z1, Z9; VFMADD213PS Z23, Z2, Z10; VFMADD213PS Z23, Z3, Z11   \
	VFMADD213PS Z22, Z0, Z8; VFMADD213PS Z22, Z1, Z9; VFMADD213PS Z22, Z2, Z10; VFMADD213PS Z22, Z3, Z11   \
	VFMADD213PS Z21, Z0, Z8; VFMADD213PS Z21, Z1, Z9; VFMADD213PS Z21, Z2, Z10; VFMADD213PS Z21, Z3, Z11   \
	VFMADD213PS Z20, Z0, Z8; VFMADD213PS Z20, Z1, Z9; VFMADD213PS Z20, Z2, Z10; VFMADD213PS Z20, Z3, Z11   \
	VPSLLD $23, Z4, Z4; VPSLLD $23, Z5, Z5; VPSLLD $23, Z6, Z6; VPSLLD $23, Z7, Z7                         \ // N = 2^n
	VMULPS Z4, Z8, Z8; VMULPS Z5, Z9, Z9; VMULPS Z6, Z10, Z10; VMULPS Z7, Z11, Z11                         \ // P = 2^n * exp(-r)
	VADDPS Z20, Z8, Z0; VADDPS Z20, Z9, Z1; VADDPS Z20, Z10, Z2; VADDPS Z20, Z11, Z3                       \ // T = 1 + exp(-t)
	VRCP14PS Z0, Z12; VRCP14PS Z1, Z13; VRCP14PS Z2, Z14; VRCP14PS Z3, Z15                                 \ // S ~ 1/T
	VMOVAPS Z20, Z4; VMOVAPS Z20, Z5; VMOVAPS Z20, Z6; VMOVAPS Z20, Z7                                     \
	VFNMADD231PS Z0, Z12, Z4; VFNMADD231PS Z1, Z13, Z5; VFNMADD231PS Z2, Z14, Z6; VFNMADD231PS Z3, Z15, Z7 \ // N = 1 - T*S
	VFMADD213PS Z12, Z4, Z12; VFMADD213PS Z13, Z5, Z13; VFMADD213PS Z14, Z6, Z14; VFMADD213PS Z15, Z7, Z15 \ // S = S + S*N
	VMULPS Z12, Z16, Z16; VMULPS Z13, Z17, Z17; VMULPS Z14, Z18, Z18; VMULPS Z15, Z19, Z19

// Z12..Z15 = silu' of Z16..Z19; Z0..Z11 and Z16..Z19 are lost.
#define SILUSLOPE512X4 \
	VMAXPS Z16, Z31, Z16; VMAXPS Z17, Z31, Z17; VMAXPS Z18, Z31, Z18; VMAXPS Z19, Z31, Z19                 \ // Z = max(-86, Z), NaN kept
	VMINPS Z16, Z30, Z16; VMINPS Z17, Z30, Z17; VMINPS Z18, Z30, Z18; VMINPS Z19, Z30, Z19                 \ // Z = min(86, Z), NaN kept
	VMOVAPS Z16, Z0; VMOVAPS Z17, Z1; VMOVAPS Z18, Z2; VMOVAPS Z19, Z3                                     \
	VMOVAPS Z29, Z4; VMOVAPS Z29, Z5; VMOVAPS Z29, Z6; VMOVAPS Z29, Z7                                     \
	VFMADD231PS Z28, Z0, Z4; VFMADD231PS Z28, Z1, Z5; VFMADD231PS Z28, Z2, Z6; VFMADD231PS Z28, Z3, Z7     \ // N = magic - t*log2e
	VSUBPS Z29, Z4, Z8; VSUBPS Z29, Z5, Z9; VSUBPS Z29, Z6, Z10; VSUBPS Z29, Z7, Z11                       \ // P = n
	VFMADD231PS Z27, Z8, Z0; VFMADD231PS Z27, Z9, Z1; VFMADD231PS Z27, Z10, Z2; VFMADD231PS Z27, Z11, Z3   \ // T += n*ln2hi
	VFMADD231PS Z26, Z8, Z0; VFMADD231PS Z26, Z9, Z1; VFMADD231PS Z26, Z10, Z2; VFMADD231PS Z26, Z11, Z3   \ // T += n*ln2lo
	VMOVAPS Z25, Z8; VMOVAPS Z25, Z9; VMOVAPS Z25, Z10; VMOVAPS Z25, Z11                                   \
	VFMADD213PS Z24, Z0, Z8; VFMADD213PS Z24, Z1, Z9; VFMADD213PS Z24, Z2, Z10; VFMADD213PS Z24, Z3, Z11   \ // P = d5*r + d4
	VFMADD213PS Z23, Z0, Z8; VFMADD213PS Z23, Z1, Z9; VFMADD213PS Z23, Z2, Z10; VFMADD213PS Z23, Z3, Z11   \
	VFMADD213PS Z22, Z0, Z8; VFMADD213PS Z22, Z1, Z9; VFMADD213PS Z22, Z2, Z10; VFMADD213PS Z22, Z3, Z11   \
	VFMADD213PS Z21, Z0, Z8; VFMADD213PS Z21, Z1, Z9; VFMADD213PS Z21, Z2, Z10; VFMADD213PS Z21, Z3, Z11   \
	VFMADD213PS Z20, Z0, Z8; VFMADD213PS Z20, Z1, Z9; VFMADD213PS Z20, Z2, Z10; VFMADD213PS Z20, Z3, Z11   \
	VPSLLD $23, Z4, Z4; VPSLLD $23, Z5, Z5; VPSLLD $23, Z6, Z6; VPSLLD $23, Z7, Z7                         \ // N = 2^n
	VMULPS Z4, Z8, Z8; VMULPS Z5, Z9, Z9; VMULPS Z6, Z10, Z10; VMULPS Z7, Z11, Z11                         \ // P = 2^n * exp(-r)
	VADDPS Z20, Z8, Z0; VADDPS Z20, Z9, Z1; VADDPS Z20, Z10, Z2; VADDPS Z20, Z11, Z3                       \ // T = 1 + exp(-t)
	VRCP14PS Z0, Z12; VRCP14PS Z1, Z13; VRCP14PS Z2, Z14; VRCP14PS Z3, Z15                                 \ // S ~ 1/T
	VMOVAPS Z20, Z4; VMOVAPS Z20, Z5; VMOVAPS Z20, Z6; VMOVAPS Z20, Z7                                     \
	VFNMADD231PS Z0, Z12, Z4; VFNMADD231PS Z1, Z13, Z5; VFNMADD231PS Z2, Z14, Z6; VFNMADD231PS Z3, Z15, Z7 \ // N = 1 - T*S
	VFMADD213PS Z12, Z4, Z12; VFMADD213PS Z13, Z5, Z13; VFMADD213PS Z14, Z6, Z14; VFMADD213PS Z15, Z7, Z15 \ // S = S + S*N
	VMULPS Z12, Z8, Z4; VMULPS Z13, Z9, Z5; VMULPS Z14, Z10, Z6; VMULPS Z15, Z11, Z7                       \ // N = 1 - s, as exp(-z)*s
	VFMADD213PS Z20, Z4, Z16; VFMADD213PS Z20, Z5, Z17; VFMADD213PS Z20, Z6, Z18; VFMADD213PS Z20, Z7, Z19 \ // Z = 1 + z*N
	VMULPS Z16, Z12, Z12; VMULPS Z17, Z13, Z13; VMULPS Z18, Z14, Z14; VMULPS Z19, Z15, Z15

// K1 = all lanes, K2 = the lowest COUNT%16 lanes; AX and CX are lost.
#define MASKS512(COUNT) \
	MOVQ   COUNT, CX  \
	ANDQ   $15, CX    \
	MOVL   $1, AX     \
	SHLL   CX, AX     \
	DECL   AX         \
	KMOVW  AX, K2     \
	KXNORW K1, K1, K1

// P = exp(-T) for |T| <= 87.33; T and N are lost.
#define EXPNEG256(T, N, P) \
	VMOVUPS     ·expTable+EXP_MAGIC(SB), N     \
	VFMADD231PS ·expTable+EXP_NLOG2E(SB), T, N \ // N = magic - t*log2e
	VSUBPS      ·expTable+EXP_MAGIC(SB), N, P  \ // P = n
	VFMADD231PS ·expTable+EXP_LN2HI(SB), P, T  \ // T += n*ln2hi
	VFMADD231PS ·expTable+EXP_LN2LO(SB), P, T  \ // T += n*ln2lo
	VMOVUPS     ·expTable+EXP_D5(SB), P        \
	VFMADD213PS ·expTable+EXP_D4(SB), T, P     \ // P = d5*r + d4
	VFMADD213PS ·expTable+EXP_D3(SB), T, P     \
	VFMADD213PS ·expTable+EXP_D2(SB), T, P     \
	VFMADD213PS ·expTable+EXP_D1(SB), T, P     \
	VFMADD213PS ·expTable+EXP_ONE(SB), T, P    \
	VPSLLD      $23, N, N                      \ // N = 2^n
	VMULPS      N, P, P                          // P = 2^n * exp(-r)

// S = 1/(1+exp(-T)) and P = exp(-T) for |T| <= 86; Y15 holds 1; T and N are lost.
#define SIGMOID256(T, N, P, S) \
	EXPNEG256(T, N, P)         \
	VADDPS Y15, P, T           \ // T = 1 + exp(-t)
	VDIVPS T, Y15, S             // S = 1/T

// Z = silu(Z); Y15 holds 1, Y14 -86, Y13 86; T, N, P and S are lost.
#define SILU256(Z, T, N, P, S) \
	VMAXPS Z, Y14, Z           \ // Z = max(-86, Z), NaN kept
	VMINPS Z, Y13, T           \ // T = min(86, Z), NaN kept
	SIGMOID256(T, N, P, S)     \
	VMULPS S, Z, Z

// S = silu'(Z); constants as in SILU256; Z, T, N and P are lost.
#define SILUSLOPE256(Z, T, N, P, S) \
	VMAXPS      Z, Y14, Z      \ // Z = max(-86, Z), NaN kept
	VMINPS      Z, Y13, Z      \ // Z = min(86, Z), NaN kept
	VMOVAPS     Z, T           \
	SIGMOID256(T, N, P, S)     \
	VMULPS      S, P, N        \ // N = 1 - s, as exp(-z)*s: no cancellation
	VFMADD213PS Y15, N, Z      \ // Z = 1 + z*N
	VMULPS      Z, S, S

// The constants of SILU256.
#define EXPCONSTS256 \
	VMOVUPS ·expTable+EXP_ONE(SB), Y15 \
	VMOVUPS ·expTable+EXP_LO(SB), Y14  \
	VMOVUPS ·expTable+EXP_HI(SB), Y13

// M = the lowest COUNT%8 lanes; AX and CX are lost.
#define MASK256(COUNT, M) \
	MOVQ    COUNT, CX          \
	ANDQ    $7, CX             \
	SHLQ    $2, CX             \
	LEAQ    ·tailMask+32(SB), AX \
	SUBQ    CX, AX             \
	VMOVUPS (AX), M
