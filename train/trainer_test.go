package train_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"diffuse/internal/golden"
	"diffuse/tensor"
	"diffuse/train"
)

// TestLossFalls trains the tiny network on the toy pictures and evaluates net and average on noise of their own.
func TestLossFalls(t *testing.T) {
	o := options()
	o.Batch, o.LR = 16, 5e-3
	tr := trainer(t, o)
	all := steps(t, tr, 60)
	mean := func(r []train.StepResult) (m float64) {
		for _, s := range r {
			m += s.Loss / float64(len(r))
		}
		return m
	}
	first, last := mean(all[:10]), mean(all[len(all)-10:])
	t.Logf("mean loss of the first ten steps %.4g, of the last ten %.4g", first, last)
	if !(last < 0.7*first) {
		t.Errorf("the loss went from %g to %g, want less than 0.7 times as much", first, last)
	}
}

// TestFirstStep checks that the first step has rate 0 and beta 0, as EDM's has: no weight moves, the average is a copy.
func TestFirstStep(t *testing.T) {
	tr := trainer(t, options())
	before := values(tr.Net)
	r := steps(t, tr, 1)[0]
	if r.LR != 0 || r.EMABeta != 0 || tr.Images != 8 || tr.Adam.Steps != 1 {
		t.Errorf("first step: rate %g, beta %g, %d images, %d steps; want 0, 0, 8, 1", r.LR, r.EMABeta, tr.Images, tr.Adam.Steps)
	}
	same(t, "weights after a step of rate 0", values(tr.Net), before)
	same(t, "average", values(tr.EMA), before)
}

// TestThreads: the number of threads must not change a bit, nor may a repetition.
func TestThreads(t *testing.T) {
	o := options()
	o.Microbatch = 5
	var want map[string][]float32
	for _, n := range []int{1, 2, 3, 1} {
		old := runtime.GOMAXPROCS(n)
		tr := trainer(t, o)
		steps(t, tr, 6)
		runtime.GOMAXPROCS(old)
		if want == nil {
			want = values(tr.EMA)
		}
		same(t, "average after six steps", values(tr.EMA), want)
	}
}

// TestMicrobatch: cutting a batch changes nothing but the order of sums. Dropout is on, so it must not depend on the cut
// either. One step from equal weights, gradients compared through Adam's first moment, m = 0.1·g.
func TestMicrobatch(t *testing.T) {
	o := options()
	moments := func(micro int) [][]float32 {
		o.Microbatch = micro
		c := tiny(t).Config
		c.Dropout = 0.2
		n := build(t, c)
		tr, err := train.NewTrainer(o, n, n.clone(), toy{})
		if err != nil {
			t.Fatal(err)
		}
		steps(t, tr, 1)
		return tr.Adam.M
	}
	want := moments(0)
	for _, micro := range []int{1, 3, 4} {
		for i, m := range moments(micro) {
			// float32 sums of up to 8 images × 64 pixels: 512 roundings of 6e-8, of which the square root adds up
			golden.Close(t, "first moment", m, want[i], 2e-5*max(golden.MaxAbs(want[i]), 1e-3))
		}
	}
}

// TestCheckpointBlocks: one pass over the batch leads to the same bytes with and without recomputation, dropout on; several, which then
// add to one gradient, to the same sums in another order.
func TestCheckpointBlocks(t *testing.T) {
	moments := func(micro int, checkpoint bool) [][]float32 {
		o := options()
		o.Microbatch, o.CheckpointBlocks = micro, checkpoint
		c := tiny(t).Config
		c.Dropout = 0.2
		n := build(t, c)
		n.CheckpointBlocks = checkpoint
		tr, err := train.NewTrainer(o, n, n.clone(), toy{})
		if err != nil {
			t.Fatal(err)
		}
		steps(t, tr, 1)
		return tr.Adam.M
	}
	for _, micro := range []int{0, 3} {
		plain, checkpointed := moments(micro, false), moments(micro, true)
		for i, m := range plain {
			tolerance := 0.0
			if micro > 0 { // see TestMicrobatch
				tolerance = 2e-5 * max(golden.MaxAbs(m), 1e-3)
			}
			golden.Close(t, "first moment", checkpointed[i], m, tolerance)
		}
	}
}

// TestClip: with clipping the update is that of the gradient scaled to the given norm.
func TestClip(t *testing.T) {
	o := options()
	free := trainer(t, o)
	r := steps(t, free, 1)[0]
	o.Clip = r.GradNorm / 4
	clipped := trainer(t, o)
	steps(t, clipped, 1)
	for i, m := range clipped.Adam.M {
		quarter := make([]float32, len(m))
		for j, v := range free.Adam.M[i] {
			quarter[j] = v / 4
		}
		golden.Close(t, "first moment", m, quarter, 1e-6*golden.MaxAbs(quarter)) // one rounding of the factor
	}
}

// TestNotFinite: NaN stops the run before it reaches a weight, and the message says where it was seen.
func TestNotFinite(t *testing.T) {
	tr := trainer(t, options())
	steps(t, tr, 2)
	_, weights := "", tr.Adam.Weights
	weights[3].Data[1] = float32(math.NaN())
	before, moments := values(tr.Net), append([]float32(nil), tr.Adam.M[0]...)
	_, err := tr.Step()
	var nf *train.NonFinite
	if !errors.As(err, &nf) || nf.Step != 2 || nf.Images != 16 || !strings.Contains(err.Error(), tr.Adam.Names[3]) {
		t.Fatalf("error %v, want NonFinite of step 2 after 16 images that names %s", err, tr.Adam.Names[3])
	}
	same(t, "weights after the failed step", values(tr.Net), before)
	golden.Close(t, "moments after the failed step", tr.Adam.M[0], moments, 0)
	if tr.Images != 16 {
		t.Errorf("%d images after the failed step, want 16", tr.Images)
	}
}

// poisoned is a network whose output is sound and whose gradient is not.
type poisoned struct{ train.Network }

func (p poisoned) Denoise(t *tensor.Tape, x *tensor.Tensor, sigma []float64, labels []int, dropout []*rand.Rand) *tensor.Tensor {
	y := p.Network.Denoise(t, x, sigma, labels, dropout)
	z := y.Clone()
	t.Record(z, func([]float32) { t.Grad(y)[0] = float32(math.Inf(1)) }, y)
	return z
}

// TestInfiniteGradient: so does a gradient that is not finite although the loss is.
func TestInfiniteGradient(t *testing.T) {
	tr := trainer(t, options())
	steps(t, tr, 2)
	before, average := values(tr.Net), values(tr.EMA)
	tr.Net = poisoned{tr.Net}
	_, err := tr.Step()
	var nf *train.NonFinite
	if !errors.As(err, &nf) || nf.Step != 2 || nf.Images != 16 || !strings.Contains(err.Error(), "gradient of ") {
		t.Fatalf("error %v, want NonFinite of step 2 after 16 images that names a gradient", err)
	}
	same(t, "weights after the failed step", values(tr.Net), before)
	same(t, "average after the failed step", values(tr.EMA), average)
}

// TestLoader checks a batch's arithmetic and statistics, and that an image does not depend on the batch it is in.
func TestLoader(t *testing.T) {
	o := options()
	l, err := train.NewLoader(toy{}, o)
	if err != nil {
		t.Fatal(err)
	}
	const n = 400 // eight epochs
	b, err := l.Load(0, n)
	if err != nil {
		t.Fatal(err)
	}
	noisy, sigma, labels := append([]float32(nil), b.Noisy.Data...), append([]float64(nil), b.Sigma...), append([]int(nil), b.Labels...)
	var mean, square, noise, dropped float64
	for i, s := range sigma {
		mean += math.Log(s) / n
		square += math.Pow(math.Log(s)+1.2, 2) / n
		for j := range 64 {
			e := float64(noisy[i*64+j]-b.Clean.Data[i*64+j]) / s
			noise += e * e / (64 * n)
		}
		if labels[i] < 0 {
			dropped++
		}
	}
	// Standard errors: mean 1.2/20 = .06, variance 1.44·sqrt(2/400) = .1, noise sqrt(2/25600) = .009, dropped sqrt(.09·400) = 6.
	if !(math.Abs(mean+1.2) < .2 && math.Abs(square-1.44) < .35 && math.Abs(noise-1) < .03 && math.Abs(dropped-40) < 20) {
		t.Errorf("ln sigma has mean %g, variance %g; noise has variance %g; %g labels dropped", mean, square, noise, dropped)
	}
	epochs := make(map[string]int)
	for i := range n {
		epochs[string(bytesOf(b.Clean.Data[i*64:(i+1)*64]))]++
	}
	if !(len(epochs) > 16) {
		t.Errorf("%d different pictures in eight epochs with mirroring, want more than 16", len(epochs))
	}
	one, err := l.Load(123, 1)
	if err != nil {
		t.Fatal(err)
	}
	golden.Close(t, "image 123 alone", one.Noisy.Data, noisy[123*64:124*64], 0)
	if one.Sigma[0] != sigma[123] || one.Labels[0] != labels[123] {
		t.Errorf("image 123 alone has sigma %g, label %d; in a batch %g, %d", one.Sigma[0], one.Labels[0], sigma[123], labels[123])
	}
}

func bytesOf(x []float32) []byte {
	b := make([]byte, len(x))
	for i, v := range x {
		b[i] = byte(math.Round(float64(v)*127.5 + 127.5))
	}
	return b
}

// TestAllocations: after the first steps a step lives on recycled memory.
func TestAllocations(t *testing.T) {
	tr := trainer(t, options())
	steps(t, tr, 3)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	steps(t, tr, 20)
	runtime.ReadMemStats(&after)
	perStep := (after.TotalAlloc - before.TotalAlloc) / 20
	var weights int
	for _, w := range tr.Adam.Weights {
		weights += 4 * len(w.Data)
	}
	t.Logf("%d kB allocated per step, %d allocations; the weights are %d kB", perStep>>10, (after.Mallocs-before.Mallocs)/20, weights>>10)
}

// TestOptionErrors: all complaints come at once and name the fields; unknown fields are refused.
func TestOptionErrors(t *testing.T) {
	_, err := train.UnmarshalOptions([]byte(`{"batch": 0, "lr_decay": "step", "beta2": 1}`))
	for _, field := range []string{"batch", "lr_decay", "beta2"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error %v does not name %s", err, field)
		}
	}
	if _, err := train.UnmarshalOptions([]byte(`{"learning_rate": 1}`)); err == nil || !strings.Contains(err.Error(), "learning_rate") {
		t.Errorf("unknown field: error %v", err)
	}
	if o, err := train.UnmarshalOptions([]byte(`{"batch": 3}`)); err != nil || o.Batch != 3 || o.LR != train.DefaultOptions().LR {
		t.Errorf("got %+v, %v", o, err)
	}
}

// TestDecay checks the ways down at start, middle and end.
func TestDecay(t *testing.T) {
	o := train.DefaultOptions()
	o.LR, o.LRRampup, o.Duration, o.LRDecayFraction = 1, 100, 1000, 0.5
	for decay, want := range map[string][4]float64{"none": {1, 1, 1, 1}, "linear": {1, .5, .25, 0}, "cosine": {1, .5, (1 - math.Sqrt2/2) / 2, 0}} {
		o.LRDecay = decay
		for i, at := range []int64{500, 750, 875, 1000} {
			if got := o.LearningRate(at); !(math.Abs(got-want[i]) < 1e-12) {
				t.Errorf("%s at %d: %g, want %g", decay, at, got, want[i])
			}
		}
		near(t, "ramp", o.LearningRate(25), 0.25, 1e-12)
		short := o
		short.Duration = 60 // ends before the ramp does, and never falls
		near(t, "ramp of a short run", short.LearningRate(50), 0.5, 1e-12)
		near(t, "ramp of a short run", short.LearningRate(59), 0.59, 1e-12)
	}
}

// BenchmarkLoad times the preparation of 28×28 grey images.
func BenchmarkLoad(b *testing.B) {
	l, err := train.NewLoader(flat{}, options())
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		if _, err := l.Load(int64(i)*64, 64); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(64*float64(b.N)/b.Elapsed().Seconds(), "images/s")
}

// flat is a data set of grey pictures the size of MNIST's.
type flat struct{ toy }

func (flat) Size() (h, w, c int) { return 28, 28, 1 }
func (flat) Get(i int, dst []uint8) (int, error) {
	for j := range dst {
		dst[j] = uint8(rand.Uint32())
	}
	return 0, nil
}
