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
