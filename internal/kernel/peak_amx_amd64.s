//go:build !noasm

#include "textflag.h"
#include "amx_amd64.h"

// func peakAMX(tiles *[2048]float32, turns int)
// sums of 4 tiles = 0; for i < turns { for each of the 4 sums: s += A * B }; tiles[:1024] = the sums. A is tiles[1024:1280], B tiles[1280:1536].
TEXT ·peakAMX(SB), NOSPLIT, $0-16
	LEAQ ·amxPalette(SB), AX
	CONFIGURE_AX
	MOVQ tiles+0(FP), DI
	MOVQ turns+8(FP), R9
	MOVQ $64, CX
	LOAD_DI(4, 4096)
	LOAD_DI(5, 4096)
	LOAD_DI(6, 5120)
	LOAD_DI(7, 5120)
	ZERO(0)
	ZERO(1)
	ZERO(2)
	ZERO(3)

turn:
	PRODUCT(0, 4, 6)
	PRODUCT(1, 4, 7)
	PRODUCT(2, 5, 6)
	PRODUCT(3, 5, 7)
	DECQ R9
	JNZ  turn
	STORE_DI(0, 0)
	STORE_DI(1, 1024)
	STORE_DI(2, 2048)
	STORE_DI(3, 3072)
	RELEASE
	RET
