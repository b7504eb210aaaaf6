// Package kernel is the machine under diffuse: dense float32 loops for matrix products, convolutions,
// normalisation, element-wise maps and the Adam step. Nothing here knows about tapes, layers or models.
//
// # Vocabulary
//
// A matrix is a flat row-major slice with a leading dimension (floats from one row to the next). An
// activation is N×H×W×C: the channels of one pixel lie side by side. A convolution weight is
// KH×KW×Cin×Cout, which is also a row-major (KH·KW·Cin)×Cout matrix: a convolution is the product of the
// matrix of picture patches ("columns", one row a pixel) with it.
//
// A tile is the block of C that a micro-kernel keeps in registers: 14×32 floats with AVX-512, 6×16 with
// AVX2. A panel is the strip of B, K rows of one tile's width, that such a tile reads; panels are packed once
// a call, or once for all calls ([PackConv]), zero padded to full width, so that the micro-kernel has no edge cases.
//
// 3×3 convolutions with enough channels go by Winograd's method instead (winograd.go) where it needs at most half the products, which is for most
// pictures from 7×7 pixels up; it has 1.7 times the rounding error.
//
// # Levels
//
// Every kernel has a generic Go twin, always compiled, which is what the assembly is tested against.
// [Best] says what this CPU and this build offer, [Current] what is in use; GODEBUG=cpu.avx512f=off and
// cpu.avx2=off force it down, and so does the build tag noasm.
//
// # Promises
//
// Every output element is summed by one goroutine in one fixed order, which depends neither on the
// element's place in a tile, nor on the batch size, nor on the number of threads: the bytes of a
// picture are the same alone and in a batch. Levels may differ from each other in the last bits.
// Nothing is written outside the rows and columns asked for. Slices that are too short, and shapes that
// do not fit together, are a caller's bug: the kernels panic with the shapes.
//
// Start reading at [Gemm] (gemm.go), then [ConvForward] (conv.go); [For] is the only source of threads.
package kernel
