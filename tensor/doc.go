// Package tensor holds the arrays of a network and differentiates through
// them.
//
// # Tensors
//
// A [Tensor] is a dense, row-major block of float32. Activations are
// N×H×W×C (images, rows, columns, channels), convolution weights
// KH×KW×Cin×Cout, linear weights In×Out: the output channel is always last,
// so that kernels read and write whole vectors of channels. Files and peers
// keep N×C×H×W; [FromNCHW] and [ToNCHW] convert at that border.
//
// # Operations and the tape
//
// Every operation is a function whose first argument is a [*Tape]. A nil
// tape means inference: nothing is kept. With a tape, an operation records
// one closure that, given the gradient of its output, adds the gradients of
// its inputs. What is differentiated is an argument of [NewTape], not a
// state of the weights: a frozen network is one whose parameters are not in
// it, and its weight gradients are never computed.
//
//	t := tensor.NewTape(w, b)
//	y := tensor.Conv2D(t, x, w, b, tensor.ConvOptions{Pad: 1})
//	t.Seed(y, dy)   // dL/dy
//	t.Backward()
//	dw := t.Grad(w) // dL/dw
//	t.Free()
//
// Forward and backward of an operation stand in one file. Operations never
// write to their inputs. Wrong shapes are the caller's bug and panic with
// the shapes at hand.
//
// # Memory
//
// Buffers come from a free list. [Tape.Free] returns everything that a
// training step allocated; [Recycle] returns intermediates of an inference
// pass as soon as they are dead, so that peak memory stays near the need.
// The list keeps what it has; [Trim] empties it.
// [Checkpoint] trades time for memory in training: the tape keeps the result
// of a part of the network only and computes the rest again when it is needed.
//
// Start reading at tape.go, then norm.go for an operation with everything in
// it.
package tensor
