//go:build !noasm

#include "textflag.h"

// Constants of the exponential in vector_amd64.h, each eight times over: a memory operand for AVX2, the
// source of a broadcast for AVX-512.
// 0: lowest argument, -86
DATA ·expTable+0(SB)/8, $0xc2ac0000c2ac0000
DATA ·expTable+8(SB)/8, $0xc2ac0000c2ac0000
DATA ·expTable+16(SB)/8, $0xc2ac0000c2ac0000
DATA ·expTable+24(SB)/8, $0xc2ac0000c2ac0000
// 32: highest argument, 86
DATA ·expTable+32(SB)/8, $0x42ac000042ac0000
DATA ·expTable+40(SB)/8, $0x42ac000042ac0000
DATA ·expTable+48(SB)/8, $0x42ac000042ac0000
DATA ·expTable+56(SB)/8, $0x42ac000042ac0000
// 64: 1.5*2^23 + 127
DATA ·expTable+64(SB)/8, $0x4b40007f4b40007f
DATA ·expTable+72(SB)/8, $0x4b40007f4b40007f
DATA ·expTable+80(SB)/8, $0x4b40007f4b40007f
DATA ·expTable+88(SB)/8, $0x4b40007f4b40007f
// 96: -log2(e)
DATA ·expTable+96(SB)/8, $0xbfb8aa3bbfb8aa3b
DATA ·expTable+104(SB)/8, $0xbfb8aa3bbfb8aa3b
DATA ·expTable+112(SB)/8, $0xbfb8aa3bbfb8aa3b
DATA ·expTable+120(SB)/8, $0xbfb8aa3bbfb8aa3b
// 128: ln 2, high part: 9 bits, so n*high is exact
DATA ·expTable+128(SB)/8, $0x3f3180003f318000
DATA ·expTable+136(SB)/8, $0x3f3180003f318000
DATA ·expTable+144(SB)/8, $0x3f3180003f318000
DATA ·expTable+152(SB)/8, $0x3f3180003f318000
// 160: ln 2, low part
DATA ·expTable+160(SB)/8, $0xb95e8083b95e8083
DATA ·expTable+168(SB)/8, $0xb95e8083b95e8083
DATA ·expTable+176(SB)/8, $0xb95e8083b95e8083
DATA ·expTable+184(SB)/8, $0xb95e8083b95e8083
// 192: -1/5! fitted
DATA ·expTable+192(SB)/8, $0xbc083128bc083128
DATA ·expTable+200(SB)/8, $0xbc083128bc083128
DATA ·expTable+208(SB)/8, $0xbc083128bc083128
DATA ·expTable+216(SB)/8, $0xbc083128bc083128
// 224: 1/4! fitted
DATA ·expTable+224(SB)/8, $0x3d2b95323d2b9532
DATA ·expTable+232(SB)/8, $0x3d2b95323d2b9532
DATA ·expTable+240(SB)/8, $0x3d2b95323d2b9532
DATA ·expTable+248(SB)/8, $0x3d2b95323d2b9532
// 256: -1/3! fitted
DATA ·expTable+256(SB)/8, $0xbe2aabd8be2aabd8
DATA ·expTable+264(SB)/8, $0xbe2aabd8be2aabd8
DATA ·expTable+272(SB)/8, $0xbe2aabd8be2aabd8
DATA ·expTable+280(SB)/8, $0xbe2aabd8be2aabd8
// 288: 1/2! fitted
DATA ·expTable+288(SB)/8, $0x3efffefe3efffefe
DATA ·expTable+296(SB)/8, $0x3efffefe3efffefe
DATA ·expTable+304(SB)/8, $0x3efffefe3efffefe
DATA ·expTable+312(SB)/8, $0x3efffefe3efffefe
// 320: -1
DATA ·expTable+320(SB)/8, $0xbf800000bf800000
DATA ·expTable+328(SB)/8, $0xbf800000bf800000
DATA ·expTable+336(SB)/8, $0xbf800000bf800000
DATA ·expTable+344(SB)/8, $0xbf800000bf800000
// 352: 1
DATA ·expTable+352(SB)/8, $0x3f8000003f800000
DATA ·expTable+360(SB)/8, $0x3f8000003f800000
DATA ·expTable+368(SB)/8, $0x3f8000003f800000
DATA ·expTable+376(SB)/8, $0x3f8000003f800000
// 384: 87.33, where exp(-t) leaves the normal range
DATA ·expTable+384(SB)/8, $0x42aea8f642aea8f6
DATA ·expTable+392(SB)/8, $0x42aea8f642aea8f6
DATA ·expTable+400(SB)/8, $0x42aea8f642aea8f6
DATA ·expTable+408(SB)/8, $0x42aea8f642aea8f6
GLOBL ·expTable(SB), RODATA|NOPTR, $416

// Eight lanes on, eight lanes off: the mask of the first r lanes starts 4*(8-r) bytes in.
DATA ·tailMask+0(SB)/8, $-1
DATA ·tailMask+8(SB)/8, $-1
DATA ·tailMask+16(SB)/8, $-1
DATA ·tailMask+24(SB)/8, $-1
DATA ·tailMask+32(SB)/8, $0
DATA ·tailMask+40(SB)/8, $0
DATA ·tailMask+48(SB)/8, $0
DATA ·tailMask+56(SB)/8, $0
GLOBL ·tailMask(SB), RODATA|NOPTR, $64
