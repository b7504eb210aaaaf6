package schedule

import (
	"fmt"
	"math"
	"strings"
)

// Grid builds a step grid of n levels between sigmaMax and sigmaMin and a final 0 (or the level that an option final names).
// rho is used by "karras" only, and by that only if its own option is not given. Arguments that describe no grid are errors.
type Grid func(n int, sigmaMin, sigmaMax, rho float64) ([]float64, error)

// A Schedule is what a name with its options stands for.
type Schedule struct {
	Name               string    // the name without aliases and options
	SigmaMin, SigmaMax float64   // the range of noise levels that it has of its own, both 0 if it takes any
	Grid               Grid      // never nil
	LogSNR             LogSNR    // the schedule in time; nil for those that are no more than a grid
	Discrete           *Discrete // the table and the way through it; nil for schedules that have no timesteps
}

// A family is a line of the table of all schedules.
type family struct {
	name    string
	aliases string // the peers' spellings, between spaces
	help    string
	options string // as the help shows them
	build   func(o *options) Schedule
}

// families is the table of all schedules, the default first. docs/schedules.md has their formulas and sources.
func families() []family {
	return []family{
		{"karras", "edm polynomial", "EDM's grid, even in sigma^(1/rho)", "rho=R", buildKarras},
		{"exponential", "logsnr logsnr-uniform", "even in logSNR", "", buildExponential},
		{"polyexponential", "", "logSNR by a power of the step", "rho=R", buildPolyExponential},
		{"linear-sigma", "", "even in sigma", "", buildLinearSigma},
		{"vp", "", "the VP diffusion at even times", "beta-d=B, beta-min=B, eps=T", buildVP},
		{"time-uniform", "", "the VP diffusion fitted to the range, at even times^(1/rho)", "rho=R, eps=T", buildTimeUniform},
		{"edm-vp", "", "EDM's ablation: time-uniform from 152 to 0.0105", "", buildDiscretization("vp")},
		{"ve", "edm-ve", "EDM's ablation: exponential from 100 to 0.02", "", buildDiscretization("ve")},
		{"iddpm", "edm-iddpm", "EDM's ablation: by index through iDDPM's levels, 80.2 to 0.0064", "", buildDiscretization("iddpm")},
		{"consistency", "", "karras levels by index, as consistency models take them", "timesteps=T, rho=R, final=zero|sigma-min", buildConsistency},
		{"cosine", "", "simple diffusion", "shift=R@D, interpolate=LOW:HIGH@D, clip=A|B, low-at-noisy, low-at-clean, min=LOGSNR, max=LOGSNR", buildCosine},
		{"cosine-gamma", "", "a part of the cosine, raised to a power", "start=X, end=X, tau=P", buildCosineGamma},
		{"sigmoid", "", "a part of the logistic function", "start=X, end=X, tau=P", buildSigmoid},
		{"laplace", "", "logSNR with a Laplace density", "mu=LOGSNR, b=WIDTH", buildLaplace},
		{"flow", "rectified-flow", "straight paths, sigma = shift t/(1-t)", "shift=S, diffusers, timesteps=T", buildFlow},
		{"linear", "", "DDPM's beta table", betaOptions, buildBetas(LinearBetas, 1e-4, 0.02)},
		{"scaled-linear", "", "Stable Diffusion's beta table", betaOptions, buildBetas(ScaledLinearBetas, 0.00085, 0.012)},
		{"squaredcos", "squaredcos-cap-v2 cosine-betas", "improved DDPM's beta table", tableOptions, buildSquaredCos},
		{"sigmoid-geodiff", "sigmoid-betas", "GeoDiff's beta table, diffusers' \"sigmoid\"", betaOptions, buildBetas(SigmoidBetas, 1e-4, 0.02)},
		{"sigmoid-jabri", "", "beta table of the schedule sigmoid", "start=X, end=X, tau=P, " + tableOptions, buildSigmoidTable},
		{"laplace-diffusers", "", "diffusers' beta table \"laplace\"; it is not the schedule laplace", tableOptions, buildLaplaceTable},
	}
}

const (
	tableOptions = "timesteps=T, zero-snr, float32, spacing=trailing|leading|linspace|lcm, like=ddpm|dpm-solver|euler|k-diffusion, steps-offset=K, " +
		"sigmas=table|karras|exponential|beta, rho=R, final=zero|sigma-min"
	betaOptions = "beta-start=B, beta-end=B, " + tableOptions
)

// Names returns the schedule names that [Lookup] knows, the default first, each with a line of help.
func Names() [][2]string {
	var names [][2]string
	for _, f := range families() {
		names = append(names, [2]string{f.name, f.help})
	}
	return names
}

// Options returns the options of the schedule called name, as a line of help; "" if it has none.
func Options(name string) string {
	for _, f := range families() {
		if f.name == name {
			return f.options
		}
	}
	return ""
}

// Lookup turns what a user types into a [Schedule]: a name, for most followed by options after a colon, as in
// "cosine:shift=64@256", "cosine:interpolate=32:256@512,clip=B,low-at-clean" or "linear:spacing=trailing,timesteps=1000". Case
// does not matter and "-" and "_" are the same. Unknown names and options are errors that list the valid ones.
func Lookup(spec string) (Schedule, error) { return LookupAt(spec, 0) }

// LookupAt is [Lookup] for pictures of a known size (see [Side]), which shift and interpolate then take where "@D" is left out; 0 stands
// for an unknown size.
func LookupAt(spec string, size float64) (Schedule, error) {
	name, opts, has := strings.Cut(canonical(spec), ":")
	f, ok := familyOf(name)
	if !ok {
		var names []string
		for _, f := range families() {
			names = append(names, f.name)
		}
		return Schedule{}, fmt.Errorf("schedule: unknown schedule %q; valid names: %s", spec, strings.Join(names, ", "))
	}
	o := parseOptions(opts, has)
	o.size = size
	s := f.build(o)
	if err := o.finish(f.options); err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w", spec, err)
	}
	s.Name = f.name
	if d := s.Discrete; d != nil {
		s.Grid = func(n int, min, max, _ float64) ([]float64, error) {
			sigmas, _, err := d.Steps(n, min, max)
			if err != nil {
				return nil, fmt.Errorf("schedule %s: %w", f.name, err)
			}
			return sigmas, nil
		}
	}
	return s, nil
}

// Side is the size of pictures of h×w pixels by which schedules are shifted, sqrt(h·w): the side of a square of equal area.
func Side(h, w int) float64 { return math.Sqrt(float64(h) * float64(w)) }

// familyOf finds a schedule by its name or one of its aliases.
func familyOf(name string) (family, bool) {
	for _, f := range families() {
		if name != "" && (f.name == name || strings.Contains(" "+f.aliases+" ", " "+name+" ")) {
			return f, true
		}
	}
	return family{}, false
}

// Parse is [Lookup] for callers that want noise levels only.
func Parse(spec string) (Grid, error) {
	s, err := Lookup(spec)
	return s.Grid, err
}
