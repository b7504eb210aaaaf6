package sampler_test

import (
	"math"
	"slices"
	"testing"

	"diffuse/sampler"
)

// TestStepByStep holds Info.OneStep against what solvers do: a run in pieces of one step is the run in one piece, and for no others.
func TestStepByStep(t *testing.T) {
	g := gmm2()
	sigmas := []float64{20, 6, 2, 0.7, 0.2, 0}
	x := []float64{11, -7, 25, 3}
	for _, info := range sampler.All() {
		t.Run(info.Name, func(t *testing.T) {
			run := func(s sampler.Sampler) []float64 {
				o := info.Options()
				o.Noise = sampler.White(sampler.BatchNoise([]uint64{5}, len(x), "step"))
				if info.UsesChurn {
					o.Churn = 1
				}
				if info.UsesR {
					o.R = []float64{0.5, 0.4, 0.6, 0.3, 0.7}
				}
				if slices.Contains(info.Extra, "restart") {
					o.Restart = []sampler.Interval{{Levels: 3, Repeats: 1, Low: 0.2, High: 1}}
				}
				var end []float64
				for s := range s(g.Denoise, x, sigmas, o) {
					end = append(end[:0], s.X...)
				}
				return end
			}
			if info.Adaptive {
				if info.OneStep {
					t.Fatal("an adaptive solver takes no single steps")
				}
				return
			}
			whole := run(info.Sampler)
			var pieces []float64
			func() {
				defer func() { _ = recover() }() // options that a single step cannot have
				pieces = run(sampler.Resampled(info.Sampler, 0, nil))
			}()
			same := len(pieces) == len(whole)
			for i := range pieces {
				same = same && math.Abs(pieces[i]-whole[i]) <= 1e-12*(1+math.Abs(whole[i]))
			}
			if same != info.OneStep {
				t.Errorf("OneStep is %v; in one piece %v, step by step %v", info.OneStep, whole, pieces)
			}
		})
	}
}

// TestInpaint keeps the first of two numbers: every solver ends at its value, from any level, and the other number fits to it more often when steps
// are repeated.
func TestInpaint(t *testing.T) {
	g := &sampler.GMM{Shape: []int{1, 1, 2}, Weights: []float64{0.5, 0.5}, Means: [][]float64{{-1, -1}, {1, 1}}, Std: []float64{0.2, 0.2}}
	const pictures = 200
	picture := []float64{0.9, 7}
	seeds := make([]uint64, pictures)
	for i := range seeds {
		seeds[i] = uint64(i)
	}
	den := sampler.Inpaint(g.Denoise, picture, []bool{false, true})
	sigmas := []float64{20, 8, 3, 1, 0.4, 0.1, 0}
	fitting := func(s sampler.Sampler, o sampler.Options) (n int) {
		x := make([]float64, 2*pictures)
		sampler.BatchNoise(seeds, 2, "latent")(x)
		for i := range x {
			x[i] = picture[i%2] + sigmas[0]*x[i]
		}
		o.Noise = sampler.White(sampler.BatchNoise(seeds, 2, "step"))
		for state := range s(den, x, sigmas, o) {
			copy(x, state.X)
		}
		for i := 0; i < len(x); i += 2 {
			// Multistep solvers add and subtract states of level 20: their rounding is what may be left.
			if d := math.Abs(x[i] - picture[0]); !(d <= 1e-12) {
				t.Fatalf("picture %d: the kept number became %v", i/2, x[i])
			}
			if x[i+1] > 0 {
				n++
			}
		}
		return n
	}
	for _, info := range sampler.All() {
		t.Run(info.Name, func(t *testing.T) { fitting(info.Sampler, info.Options()) })
	}
	o := sampler.DefaultOptions()
	once := fitting(sampler.Heun, o)
	often := fitting(sampler.Resampled(sampler.Heun, 4, sampler.White(sampler.BatchNoise(seeds, 2, "resample"))), o)
	if !(often > once) || often < pictures*9/10 {
		t.Errorf("of %d pictures %d fit to what is kept, %d when steps are repeated", pictures, once, often)
	}
}
