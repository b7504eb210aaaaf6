// Package skiptune computes skip weights for Skip-Tuning (Ma, Xue, Hu et al., ICML 2024, arXiv 2402.15170):
// a trained U-Net gives better pictures in few steps when the encoder features handed over its skip connections
// are made a little smaller, Concat(rho_i·d_i, u_i) in place of Concat(d_i, u_i) (definition 3.1). Nothing is
// trained and the sampler does not change.
//
// A weight list has one rho per concatenation in the order the decoder meets them: index 0 is the deepest
// (lowest resolution, "bottom"), the last one has the picture's full size ("top"). EDM's CIFAR-10 network has 15,
// its ImageNet-64 network 16. The paper uses one rho for all, or a straight ramp from a smaller rho at the
// bottom to a larger one at the top, 0.5 to 1 for instance. For EDM's ImageNet-64 network it reports
// values that rise with the number of steps, about 0.65 to 0.78 around ten and 0.85 at 39 evaluations, and 0.91 to
// 0.98 for one-step students.
//
// Beside the weights themselves there is when and where they act: at some noise levels only, or for one of the two ways into the
// block behind the concatenation. FreeU (Si et al. 2023, arXiv 2309.11497), a relative that raises decoder features and lowers the
// slow variation of skips, is expressed in the same terms.
//
// [Parse] reads what a user types and makes a [Tuning]; [Tuning.At] says what every concatenation does at a noise level, a
// list of [Join] which the network carries out. [Ramp] makes a list of weights.
package skiptune

// Origin says which end of a ramp is reached exactly. The paper's formula rho_i = bottom + (top-bottom)/k·i
// leaves open whether i starts at 0 or at 1, and no choice reaches both ends.
type Origin int

const (
	// FromBottom counts i = 0..k-1: the deepest weight is exactly bottom, the highest stops one step short of top.
	FromBottom Origin = 0
	// ToTop counts i = 1..k: the highest weight is exactly top, the deepest lies one step above bottom.
	ToTop Origin = 1
)

// Ramp returns n skip weights, deepest first, rho_i = bottom + (top-bottom)/n·i with i counted from origin
// (arXiv 2402.15170, section 3). n = 0 gives an empty list; a negative n panics.
func Ramp(n int, bottom, top float64, origin Origin) []float32 {
	rho := make([]float32, n)
	delta := (top - bottom) / float64(n)
	for i := range rho {
		rho[i] = float32(bottom + delta*float64(i+int(origin)))
	}
	return rho
}
