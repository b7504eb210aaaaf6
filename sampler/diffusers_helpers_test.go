package sampler_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"diffuse/sampler"
)

// diffusersConfig is what the tests need of a scheduler's configuration.
type diffusersConfig struct {
	BetaStart  float64 `json:"beta_start"`
	BetaEnd    float64 `json:"beta_end"`
	Betas      string  `json:"beta_schedule"`
	Train      int     `json:"num_train_timesteps"`
	ZeroSNR    bool    `json:"rescale_betas_zero_snr"`
	Clip       *bool   `json:"clip_sample"`
	ClipRange  float64 `json:"clip_sample_range"`
	Threshold  bool    `json:"thresholding"`
	Ratio      float64 `json:"dynamic_thresholding_ratio"`
	Most       float64 `json:"sample_max_value"`
	Prediction string  `json:"prediction_type"`
	One        *bool   `json:"set_alpha_to_one"`
	Variance   string  `json:"variance_type"`
	Order      int     `json:"solver_order"`
	Type       string  `json:"solver_type"`
	Algorithm  string  `json:"algorithm_type"`
	Lower      *bool   `json:"lower_order_final"`
	EulerEnd   bool    `json:"euler_at_final"`
	Disable    []int   `json:"disable_corrector"`
	Predictor  int     `json:"predictor_order"`
	Corrector  int     `json:"corrector_order"`
	SkipPRK    bool    `json:"skip_prk_steps"`
}

// levels returns the noise levels of training steps, from betas in float32 as the peer has them; that of -1 is 0.
func (c diffusersConfig) levels() func(t int) float64 {
	n := c.Train
	bar := make([]float64, n)
	p := float32(1)
	for i := range bar {
		f := float64(i) / float64(n-1)
		var beta float32
		switch c.Betas {
		case "linear":
			beta = float32(c.BetaStart + f*(c.BetaEnd-c.BetaStart))
		case "scaled_linear":
			a, b := math.Sqrt(c.BetaStart), math.Sqrt(c.BetaEnd)
			root := float32(a + f*(b-a))
			beta = root * root
		case "squaredcos_cap_v2":
			cos := func(t float64) float64 { return math.Pow(math.Cos((t+0.008)/1.008*math.Pi/2), 2) }
			beta = float32(min(1-cos(float64(i+1)/float64(n))/cos(float64(i)/float64(n)), 0.999))
		default:
			panic("beta schedule " + c.Betas)
		}
		p *= 1 - beta
		bar[i] = float64(p)
	}
	if c.ZeroSNR {
		first, last := math.Sqrt(bar[0]), math.Sqrt(bar[n-1])
		for i, v := range bar {
			bar[i] = math.Pow((math.Sqrt(v)-last)*first/(first-last), 2)
		}
	}
	return func(t int) float64 {
		if t < 0 {
			return 0
		}
		return math.Sqrt((1 - bar[t]) / bar[t])
	}
}

// A trajectory is a run of a scheduler, from either kind of file.
type trajectory struct {
	what, class string
	cfg         diffusersConfig
	steps       int // num_inference_steps
	eta         float64
	clipped     bool // use_clipped_model_output
	churn       sampler.Options
	timesteps   []float64
	sigmas      []float64                          // absent from schedulers that step in training steps
	scale       func(sigma float64) float64        // of our state, to get the peer's
	states      [][]float64                        // what the model was given, and the end
	noise       [][]float64                        // by step
	denoiser    func(first int) sampler.Denoiser   // the model, from that evaluation on
	perPicture  int                                // numbers of a picture
	tol         func(want []float64) (tol float64) // absolute tolerance
}

// variancePreserving is the scale of x/sqrt(1 + sigma²).
func variancePreserving(sigma float64) float64 { return 1 / math.Hypot(1, sigma) }

func unscaled(float64) float64 { return 1 }

// close compares a state at a level with the peer's.
func (r *trajectory) close(t *testing.T, what string, x []float64, sigma float64, want []float64) {
	t.Helper()
	got := slices.Clone(x)
	for i := range got {
		got[i] *= r.scale(sigma)
	}
	tol := r.tol(want)
	for i, w := range want {
		d := math.Abs(got[i] - w)
		if !(d <= tol) {
			t.Errorf("%s: %s: value %d is %v, want %v (difference %.3g > %.3g)", r.what, what, i, got[i], w, d, tol)
			return
		}
		worstSeen = math.Max(worstSeen, d/tol)
	}
}

// start is the peer's state i as ours at a level.
func (r *trajectory) start(i int, sigma float64) []float64 {
	x := slices.Clone(r.states[i])
	for j := range x {
		x[j] /= r.scale(sigma)
	}
	return x
}

// whole runs a solver from the peer's state first and compares at the evaluations, where corrected and predicted states of both agree, or with churn,
// which changes the state before the evaluation, after each step.
func (r *trajectory) whole(t *testing.T, solve sampler.Sampler, sigmas []float64, first int, o sampler.Options, end bool) {
	t.Helper()
	o.Noise = func(dst []float64, from, to float64) {
		if from == to {
			from /= 1 + min(o.Churn/float64(len(sigmas)-1), math.Sqrt2-1)
		}
		for i, s := range sigmas {
			if math.Abs(s-from) <= 1e-12*s {
				copy(dst, r.noise[i])
				return
			}
		}
		t.Fatalf("%s: noise is drawn at level %v, which is not in the list", r.what, from)
	}
	var calls []call
	var x []float64
	var last sampler.State
	for s := range solve(recorded(r.denoiser(first), &calls), r.start(first, sigmas[0]), sigmas, o) {
		x, last = append(x[:0], s.X...), s
		if o.Churn > 0 {
			r.close(t, fmt.Sprintf("step %d", s.Step), s.X, s.Sigma, r.states[s.Step])
		}
	}
	if want := len(r.states) - 1 - first; len(calls) != want {
		t.Errorf("%s: %d evaluations, the peer has %d", r.what, len(calls), want)
		return
	}
	for i, k := range calls {
		if o.Churn == 0 {
			r.close(t, fmt.Sprintf("input %d", i), k.x, k.sigma, r.states[first+i])
		}
	}
	if end {
		r.close(t, "end", x, last.Sigma, r.states[len(r.states)-1])
	}
}

// single runs every step by itself, for schedulers without memory whose steps need not follow one another; steps from an infinite level (zero SNR)
// or of length 0 are left out. It returns how many were compared.
func (r *trajectory) single(t *testing.T, solve sampler.Sampler, next func(i int) float64, o sampler.Options) (compared int) {
	t.Helper()
	level := r.cfg.levels()
	for i, s := range r.timesteps {
		sigmas := []float64{level(int(s)), next(i)}
		if math.IsInf(sigmas[0], 0) || sigmas[0] == sigmas[1] {
			continue
		}
		compared++
		o.Noise = func(dst []float64, _, _ float64) { copy(dst, r.noise[i]) }
		for s := range solve(r.denoiser(i), r.start(i, sigmas[0]), sigmas, o) {
			r.close(t, fmt.Sprintf("step %d", i+1), s.X, s.Sigma, r.states[i+1])
		}
	}
	return compared
}

// follow compares a trajectory with our solver of the method.
func (r *trajectory) follow(t *testing.T) {
	t.Helper()
	o, sigmas, end := r.churn, slices.Clone(r.sigmas), true
	if n := len(sigmas) - 1; n > 0 && sigmas[n] == sigmas[n-1] && sigmas[n] > 0 { // the peer's last step has length 0
		sigmas[n], end = 0, false
	}
	get := func(name string) sampler.Sampler {
		info, err := sampler.Lookup(name)
		if err != nil {
			t.Fatalf("%s: %v", r.what, err)
		}
		if err := info.Check(o); err != nil {
			t.Errorf("%s: %v", r.what, err)
		}
		return info.Sampler
	}
	switch r.class {
	case "DDIMScheduler", "DDPMScheduler":
		r.ancestral(t, o, get)
	case "PNDMScheduler":
		r.pndm(t)
	case "DDIMInverseScheduler":
		r.inverse(t)
	case "LCMScheduler", "TCDScheduler":
		r.distilled(t, o, get)
	case "FlowMatchEulerDiscreteScheduler":
		r.flow(t, get(r.class), 1)
	case "FlowMatchHeunDiscreteScheduler":
		r.flow(t, get(r.class), 2)
	case "LMSDiscreteScheduler", "KDPM2AncestralDiscreteScheduler":
		o.Eta = 1
		r.whole(t, get(r.class), distinct(sigmas), 0, o, true)
	case "EulerDiscreteScheduler", "EDMEulerScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler":
		r.whole(t, get(r.class), distinct(sigmas), 0, o, end)
	case "EulerAncestralDiscreteScheduler", "CMStochasticIterativeScheduler":
		o.Eta = 1
		r.whole(t, get(r.class), sigmas, 0, o, true)
	default:
		name := r.multistep(&o)
		r.whole(t, get(name), sigmas, 0, o, end)
	}
}

// distinct drops levels that repeat, as in lists with an entry for each evaluation.
func distinct(sigmas []float64) []float64 { return slices.Compact(sigmas) }

// multistep translates the configuration of a multistep scheduler.
func (r *trajectory) multistep(o *sampler.Options) (name string) {
	c := r.cfg
	o.Order = c.Order
	if o.Order == 0 {
		o.Order = 2
	}
	switch r.class {
	case "DPMSolverMultistepScheduler", "EDMDPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler":
		name, o.Final, o.Variant = "dpmpp", sampler.FinalFew, c.Type
		switch {
		case r.class == "DPMSolverSinglestepScheduler":
			name, o.Final = "dpmpp-singlestep", ""
		case c.Lower != nil && !*c.Lower:
			o.Final = sampler.FinalFull
		case c.EulerEnd:
			o.Final = sampler.FinalEuler
		}
		if strings.HasSuffix(c.Algorithm, "dpmsolver") {
			o.Variant = map[string]string{"heun": "noise-heun", "midpoint": "noise", "": "noise"}[c.Type]
		}
		if strings.HasPrefix(c.Algorithm, "sde") {
			o.Eta = 1
			if o.Order == 3 {
				o.Variant = "diffusers-sde3"
			}
		}
	case "UniPCMultistepScheduler":
		name, o.Variant, o.Uncorrected = "unipc", c.Type, len(c.Disable)
	case "DEISMultistepScheduler":
		name, o.Variant = "deis", "log-rho"
	case "SASolverScheduler":
		name, o.Order, o.Corrector, o.Eta = "sa-solver", c.Predictor, c.Corrector, 1
		o.ChurnMax, o.ChurnMin = 0, math.MaxFloat64 // tau is 1 for timesteps 200 to 800
		for i, s := range r.timesteps {
			if s >= 200 && s <= 800 {
				o.ChurnMax, o.ChurnMin = max(o.ChurnMax, r.sigmas[i]), min(o.ChurnMin, r.sigmas[i])
			}
		}
	default:
		panic("no solver for " + r.class)
	}
	return name
}

// ancestral follows DDIM and DDPM. DDIM's steps go to the training step a fixed stride below, not to the next of the list.
func (r *trajectory) ancestral(t *testing.T, o sampler.Options, get func(string) sampler.Sampler) {
	t.Helper()
	c, level := r.cfg, r.cfg.levels()
	if c.Clip == nil || *c.Clip {
		o.Clip = c.ClipRange
		if o.Clip == 0 {
			o.Clip = 1
		}
	}
	if c.Threshold {
		o.Clip = 0
	}
	var solve sampler.Sampler
	next := func(i int) float64 {
		if i+1 < len(r.timesteps) {
			return level(int(r.timesteps[i+1]))
		}
		return 0
	}
	if r.class == "DDPMScheduler" {
		o.Eta, o.Variant = 1, strings.ReplaceAll(strings.TrimSuffix(c.Variance, "_log"), "_", "-")
		solve = get("DDPMScheduler")
	} else {
		o.Eta = r.eta
		o.ClipNoise = r.clipped
		solve = get("DDIMScheduler")
		if c.Threshold {
			solve = sampler.DDIMOver(sampler.DDIMRules{Limit: func(dst []float64) { limitQuantile(dst, r.perPicture, c.Ratio, c.Most) }})
		}
		next = func(i int) float64 {
			if p := int(r.timesteps[i]) - c.Train/r.steps; p >= 0 || c.One == nil || *c.One {
				return level(max(p, -1))
			}
			return level(0)
		}
	}
	if n := r.single(t, solve, next, o); n < r.steps-1 {
		t.Errorf("%s: only %d of %d steps compared", r.what, n, r.steps)
	}
}

// pndm follows PNDM. Its start repeats timesteps: four for each Runge-Kutta step, or the second one twice.
func (r *trajectory) pndm(t *testing.T) {
	t.Helper()
	o, level, stride := sampler.DefaultOptions(), r.cfg.levels(), r.cfg.Train/r.steps
	ts := slices.Compact(slices.Clone(r.timesteps))
	if !r.cfg.SkipPRK {
		o.Variant = "prk"
		ts = append([]float64{r.timesteps[0], r.timesteps[4], r.timesteps[8]}, r.timesteps[12:]...)
	}
	var sigmas []float64
	for _, s := range ts {
		sigmas = append(sigmas, level(int(s)))
	}
	end := level(0) // set_alpha_to_one is false by default
	if r.cfg.One != nil && *r.cfg.One {
		end = 0
	}
	compare := end != sigmas[len(sigmas)-1]
	if !compare { // the peer's last step has length 0
		end = 0
	}
	middle := func(sigma, _ float64) (first, mid float64) { // an odd stride has its middle one training step below the first stage's end
		t := int(ts[slices.Index(sigmas, sigma)])
		return level(t - stride/2), level(t - (stride+1)/2)
	}
	r.whole(t, sampler.PNDMOver(middle), append(sigmas, end), 0, o, compare)
}

// inverse follows DDIMInverse, whose timesteps rise and name the upper end of each step.
func (r *trajectory) inverse(t *testing.T) {
	t.Helper()
	level := r.cfg.levels()
	var sigmas []float64
	if first := int(r.timesteps[0]) - r.cfg.Train/r.steps; first >= 0 || r.cfg.One == nil || *r.cfg.One {
		sigmas = append(sigmas, level(max(first, -1)))
	} else {
		sigmas = append(sigmas, level(0))
	}
	for _, s := range r.timesteps {
		sigmas = append(sigmas, level(int(s)))
	}
	slices.Reverse(sigmas)
	done := 0
	for s := range sampler.DDIMInverse(r.denoiser(0), r.start(0, sigmas[len(sigmas)-1]), sigmas, sampler.DefaultOptions()) {
		done = s.Step
		r.close(t, fmt.Sprintf("step %d", done), s.X, s.Sigma, r.states[done])
	}
	if done != len(r.states)-1 {
		t.Errorf("%s: %d steps, the peer has %d", r.what, done, len(r.states)-1)
	}
}

// distilled follows LCM and TCD. TCD ends at training step 0, and the level that it steps down to is a share of the next training step.
func (r *trajectory) distilled(t *testing.T, o sampler.Options, get func(string) sampler.Sampler) {
	t.Helper()
	level := r.cfg.levels()
	var sigmas []float64
	for _, s := range r.timesteps {
		sigmas = append(sigmas, level(int(s)))
	}
	if r.class == "LCMScheduler" {
		o.Eta = 1
		r.whole(t, get(r.class), append(sigmas, 0), 0, o, true)
		return
	}
	o.Eta = r.eta
	sigmas = append(sigmas, level(0))
	down := func(next, eta float64) float64 {
		if i := slices.Index(sigmas, next); i < len(r.timesteps) {
			return level(int(math.Floor((1 - eta) * r.timesteps[i])))
		}
		return next
	}
	r.whole(t, sampler.TCDOver(down), sigmas, 0, o, true)
}

// flow follows flow matching from its second step on: the first starts at an infinite level.
func (r *trajectory) flow(t *testing.T, solve sampler.Sampler, perStep int) {
	t.Helper()
	var sigmas []float64
	for _, s := range distinct(r.sigmas)[1:] {
		sigmas = append(sigmas, s/(1-s))
	}
	r.scale = func(sigma float64) float64 { return 1 / (1 + sigma) }
	r.whole(t, solve, sigmas, perStep, sampler.DefaultOptions(), true)
}
