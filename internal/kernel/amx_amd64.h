// AMX instructions, which the assembler has no names for, in bytes. T is a tile's number, D a distance in bytes.

// T = 16 rows from AX, DX on, R8 bytes apart
#define LOAD_AX(T) BYTE $0xC4; BYTE $0xA2; BYTE $0x7B; BYTE $0x4B; BYTE $(0x04|(T)<<3); BYTE $0x00
#define LOAD_DX(T) BYTE $0xC4; BYTE $0xA2; BYTE $0x7B; BYTE $0x4B; BYTE $(0x04|(T)<<3); BYTE $0x02

// T = 16 rows from BX+D, DI+D, AX+D on, CX bytes apart
#define LOAD_BX(T, D) BYTE $0xC4; BYTE $0xE2; BYTE $0x7B; BYTE $0x4B; BYTE $(0x84|(T)<<3); BYTE $0x0B; LONG $D
#define LOAD_DI(T, D) BYTE $0xC4; BYTE $0xE2; BYTE $0x7B; BYTE $0x4B; BYTE $(0x84|(T)<<3); BYTE $0x0F; LONG $D
#define LOAD_BIAS(T, D) BYTE $0xC4; BYTE $0xE2; BYTE $0x7B; BYTE $0x4B; BYTE $(0x84|(T)<<3); BYTE $0x08; LONG $D

// 16 rows from DI+D on, CX bytes apart = T
#define STORE_DI(T, D) BYTE $0xC4; BYTE $0xE2; BYTE $0x7A; BYTE $0x4B; BYTE $(0x84|(T)<<3); BYTE $0x0F; LONG $D

// T = 0
#define ZERO(T) BYTE $0xC4; BYTE $0xE2; BYTE $0x7B; BYTE $0x49; BYTE $(0xC0|(T)<<3)

// C += A * B, pairs of bfloat16 (TDPBF16PS)
#define PRODUCT(C, A, B) BYTE $0xC4; BYTE $0xE2; BYTE $(0x02|(15-(B))<<3); BYTE $0x5C; BYTE $(0xC0|(C)<<3|(A))

#define CONFIGURE_AX BYTE $0xC4; BYTE $0xE2; BYTE $0x78; BYTE $0x49; BYTE $0x00 // shapes of the tiles = 64 bytes at AX
#define RELEASE BYTE $0xC4; BYTE $0xE2; BYTE $0x78; BYTE $0x49; BYTE $0xC0      // no tiles any more
