package sampler

import "iter"

// kDiffusion is the part of the table that holds the solvers of k-diffusion and their relatives.
func kDiffusion() []Info {
	once := func(steps int) int { return steps }
	twice := func(steps int) int { return 2*steps - 1 } // the last step, to 0, takes one
	const (
		dpmSolver = "DPM-Solver, arXiv 2206.00927"
		dpmpp     = "DPM-Solver++, arXiv 2211.01095"
	)
	return []Info{
		{
			Name: "ddim", Sampler: DDIM,
			Aliases: []string{"euler", "edm-euler", "dpmpp-1", "euler-discrete", "flow-match-euler-discrete"},
			Order:   1, NFE: once, UsesEta: true, UsesChurn: true, Extra: []string{"clip", "clip_noise"}, OneStep: true,
			About:  "Euler's method on the probability flow; eta and churn add noise",
			Source: "DDIM, arXiv 2010.02502",
		},
		{
			Name: "heun", Sampler: Heun,
			Aliases: []string{"edm", "edm-heun", "heun-discrete"},
			Order:   2, NFE: twice, UsesChurn: true, OneStep: true,
			About:  "EDM's sampler, two evaluations a step; churn adds noise",
			Source: "EDM, arXiv 2206.00364",
		},
		{
			Name: "dpm-2", Sampler: DPM2,
			Aliases: []string{"kdpm2", "kdpm2-discrete", "dpm-solver-2"},
			Order:   2, NFE: twice, UsesChurn: true, UsesR: true, OneStep: true,
			About:  "DPM-Solver-2: the slope from the middle of the step in ln sigma; churn adds noise",
			Source: dpmSolver + "; k-diffusion",
		},
		{
			Name: "midpoint", Sampler: Midpoint,
			Order: 2, NFE: twice, OneStep: true,
			About:  "the midpoint rule in ln sigma, for comparison",
			Source: "EDM, arXiv 2206.00364, eq. 1",
		},
		{
			Name: "lms", Sampler: LMS,
			Aliases: []string{"lms-discrete", "adams-bashforth"},
			Order:   4, MaxOrder: maxLMSOrder, NFE: once,
			About:  "linear multistep of order 1 to 4, exact for any spacing of levels",
			Source: "k-diffusion",
		},
		{
			Name: "dpm-fast", Sampler: DPMFast,
			Aliases: []string{"dpm-solver-fast"},
			Order:   2, NFE: once, UsesEta: true, OwnLevels: true,
			About:  "DPM-Solver-fast: steps are evaluations, at levels of its own",
			Source: dpmSolver + "; k-diffusion",
		},
		{
			Name: "dpm-adaptive", Sampler: DPMAdaptive,
			Aliases: []string{"dpm-ad", "dpm-solver-adaptive"},
			Order:   3, MinOrder: 2, MaxOrder: 3, UsesEta: true, OwnLevels: true, Adaptive: true,
			About:  "DPM-Solver-12 and -23: steps as long as the tolerance allows",
			Source: dpmSolver + "; k-diffusion",
		},
		{
			Name: "dpmpp-2s", Sampler: DPMPP2S,
			Aliases: []string{"dpm++2s", "dpm-solver++2s"},
			Order:   2, NFE: twice, UsesR: true, OneStep: true,
			About:  "DPM-Solver++(2S), two evaluations a step",
			Source: dpmpp,
		},
		{
			Name: "dpmpp-2m", Sampler: DPMPP2M,
			Aliases: []string{"dpm++2m", "dpm-solver++", "dpm-solver++2m", "dpm-solver-multistep", "edm-dpm-solver-multistep"},
			Order:   2, NFE: once,
			About:  "DPM-Solver++(2M), multistep, one evaluation a step",
			Source: dpmpp,
		},
		{
			Name: "dpmpp-3m", Sampler: DPMPP3M,
			Aliases: []string{"dpm++3m", "dpm-solver++3m"},
			Order:   2, NFE: once, Variants: dpmpp3MVariants(), Converges: dpmpp3MOrder,
			About:  "DPM-Solver++(3M) as published, of order 2, or with the missing factor",
			Source: dpmpp + "; diff-sampler",
		},
		{
			Name: "euler-ancestral", Sampler: EulerAncestral,
			Aliases: []string{"euler-a", "euler-ancestral-discrete"},
			Order:   1, NFE: once, Stochastic: true, Eta: 1, UsesEta: true, OneStep: true,
			About:  "Euler with fresh noise at every step (eta 1)",
			Source: "k-diffusion",
		},
		{
			Name: "dpm-2-ancestral", Sampler: DPM2Ancestral,
			Aliases: []string{"dpm-2-a", "kdpm2-ancestral", "kdpm2-ancestral-discrete"},
			Order:   2, NFE: twice, Stochastic: true, Eta: 1, UsesEta: true, UsesR: true, OneStep: true,
			About:  "dpm-2 with fresh noise at every step (eta 1)",
			Source: "k-diffusion",
		},
		{
			Name: "dpmpp-2s-ancestral", Sampler: DPMPP2SAncestral,
			Aliases: []string{"dpmpp-2s-a", "dpm++2s-a"},
			Order:   2, NFE: twice, Stochastic: true, Eta: 1, UsesEta: true, UsesR: true, OneStep: true,
			About:  "dpmpp-2s with fresh noise at every step (eta 1)",
			Source: "k-diffusion",
		},
		{
			Name: "dpmpp-sde", Sampler: DPMPPSDE,
			Aliases: []string{"dpm++sde", "dpm-solver-sde"},
			Order:   2, NFE: twice, Stochastic: true, Eta: 1, UsesEta: true, UsesR: true, Brownian: true, Draws: 2, OneStep: true,
			About:  "stochastic dpmpp-2s with noise inside the step too (eta 1)",
			Source: "k-diffusion",
		},
		{
			Name: "dpmpp-2m-sde", Sampler: DPMPP2MSDE,
			Aliases: []string{"dpm++2m-sde", "dpm++2m-sde-bt", "sde-dpm-solver++"},
			Order:   2, NFE: once, Stochastic: true, Eta: 1, UsesEta: true, Variants: dpmpp2MSDEVariants(), Brownian: true,
			About:  "SDE-DPM-Solver++(2M), multistep (eta 1)",
			Source: dpmpp + "; k-diffusion",
		},
		{
			Name: "dpmpp-2m-sde-heun", Sampler: dpmpp2MSDEHeun,
			Aliases: []string{"dpm++2m-sde-heun"},
			Order:   2, NFE: once, Stochastic: true, Eta: 1, UsesEta: true, Brownian: true,
			About:  "dpmpp-2m-sde with its variant heun, under the name it has elsewhere",
			Source: dpmpp + "; k-diffusion",
		},
		{
			Name: "dpmpp-3m-sde", Sampler: DPMPP3MSDE,
			Aliases: []string{"dpm++3m-sde"},
			Order:   2, NFE: once, Stochastic: true, Eta: 1, UsesEta: true, Variants: dpmpp3MVariants(), Converges: dpmpp3MOrder, Brownian: true,
			About:  "stochastic dpmpp-3m (eta 1), as published or with the missing factor",
			Source: "k-diffusion",
		},
	}
}

func dpmpp3MOrder(order int, variant string) int {
	if variant == "third-order" {
		return 3
	}
	return order
}

func dpmpp2MSDEHeun(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	o.Variant = "heun"
	return DPMPP2MSDE(d, x, sigmas, o)
}
