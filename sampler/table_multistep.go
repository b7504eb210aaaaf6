package sampler

// multistep is the part of the table with the solvers of diff-sampler and diffusers and their relatives. Where both programs have a
// name for different things, About says whose it is.
func multistep() []Info {
	once := func(steps int) int { return steps }
	twice := func(steps int) int { return 2*steps - 1 }
	split := []string{"scale_dir", "scale_time"}
	atMostTwo := func(order int, _ string) int { return min(order, 2) } // weights for equal steps
	const (
		dpmpp = "DPM-Solver++, arXiv 2211.01095"
		amed  = "AMED, arXiv 2312.00094; diff-sampler"
	)
	return []Info{
		{
			Name: "dpmpp", Aliases: []string{"dpm-pp", "dpmpp-multistep"}, Sampler: DPMSolver,
			Order: 3, MaxOrder: 3, NFE: once, UsesEta: true, Variants: dpmVariants, Extra: []string{"final"},
			About:     "DPM-Solver++ multistep, orders 1-3, as diff-sampler (diffusers: --final few); eta 1 is its SDE form, noise variants DPM-Solver",
			Source:    dpmpp + "; diff-sampler, diffusers",
			Converges: dpmOrder,
		},
		{
			Name: "dpmpp-singlestep", Aliases: []string{"DPMSolverSinglestepScheduler", "dpm-solver-singlestep"}, Sampler: DPMSolverSinglestep,
			Order: 3, MaxOrder: 3, NFE: once, UsesEta: true, Variants: dpmVariants[:4], Extra: []string{"final"},
			About:  "DPM-Solver++ singlestep, orders 1-3, spread over the grid as by diffusers; eta 1 is its SDE form",
			Source: dpmpp + "; diffusers",
		},
		{
			Name: "unipc", Aliases: []string{"uni-pc", "UniPCMultistepScheduler"}, Sampler: UniPC,
			Order: 3, MaxOrder: 3, NFE: once, Variants: unipcVariants, Extra: []string{"final", "uncorrected"},
			About:     "UniPC predictor-corrector, orders 1-3 (diff-sampler's default 3, diffusers' 2)",
			Source:    "UniPC, arXiv 2302.04867",
			Converges: func(order int, _ string) int { return order + 1 },
		},
		{
			Name: "deis", Aliases: []string{"DEISMultistepScheduler", "deis-multistep"}, Sampler: DEIS,
			Order: 4, MaxOrder: 4, NFE: once, Variants: []string{deisTab, deisLogRho}, Extra: []string{"final"},
			About:  "DEIS, orders 1-4: tab as diff-sampler, log-rho as diffusers (there order 2); exact integrals",
			Source: "DEIS, arXiv 2204.13902",
		},
		{
			Name: "ipndm", Sampler: IPNDM, Order: 4, MaxOrder: 4, NFE: once, Extra: []string{"final"},
			About:     "improved PNDM as diff-sampler, orders 1-4 on equal steps",
			Source:    "DEIS, arXiv 2204.13902; diff-sampler",
			Converges: atMostTwo,
		},
		{
			Name: "ipndm-v", Sampler: IPNDMV, Order: 4, MaxOrder: 4, NFE: once, Extra: []string{"final"},
			About:  "diff-sampler's ipndm_v with its flaws above order 2; lms is the correct variable-step method",
			Source: "diff-sampler",
			Converges: func(order int, _ string) int {
				if order == 4 {
					return 2
				}
				return order
			},
		},
		{
			Name: "pndm", Aliases: []string{"PNDMScheduler", "plms"}, Sampler: PNDM, Order: 2, NFE: func(steps int) int { return steps + min(1, steps-1) },
			Variants: []string{pndmPLMS, pndmPRK},
			About:    "PNDM as diffusers: plms, or prk with a Runge-Kutta start of 4 evaluations a step",
			Source:   "PNDM, arXiv 2202.09778; diffusers",
		},
		{
			Name: "amed", Aliases: []string{"amed-solver"}, Sampler: AMED, Order: 2, NFE: twice, UsesR: true, Extra: split, OneStep: true,
			About:  "AMED-Solver with given r, scale_dir, scale_time; two evaluations a step",
			Source: amed,
		},
		{
			Name: "amed-euler", Aliases: []string{"amed-plugin-euler"}, Sampler: AMEDEuler, Order: 1, NFE: twice, UsesR: true, Extra: split, OneStep: true,
			About:  "AMED plugin over Euler: every step split at r",
			Source: amed,
		},
		{
			Name: "amed-ipndm", Aliases: []string{"amed-plugin-ipndm"}, Sampler: AMEDIPNDM, Order: 4, MaxOrder: 4, NFE: twice, UsesR: true,
			Extra:     append([]string{"final"}, split...),
			About:     "AMED plugin over ipndm",
			Source:    amed,
			Converges: atMostTwo,
		},
		{
			Name: "amed-dpm-2", Aliases: []string{"amed-plugin-dpm-2"}, Sampler: AMEDDPM2, Order: 2, NFE: twice, UsesR: true, Extra: split, OneStep: true,
			About:  "AMED plugin over dpm-2",
			Source: amed,
		},
		{
			Name: "amed-dpmpp", Aliases: []string{"amed-plugin-dpmpp"}, Sampler: AMEDDPMPP, Order: 3, MaxOrder: 3, NFE: twice, UsesR: true,
			UsesEta: true, Draws: 2, Variants: dpmVariants, Extra: append([]string{"final"}, split...),
			About:     "AMED plugin over dpmpp",
			Source:    amed,
			Converges: dpmOrder,
		},
		{
			Name: "ddpm", Aliases: []string{"DDPMScheduler"}, Sampler: DDPM, Order: 1, NFE: once, Stochastic: true, Eta: 1, UsesEta: true,
			Variants: []string{ddpmSmall, ddpmLarge}, Extra: []string{"clip"}, OneStep: true,
			About:  "DDPM's ancestral sampling; fixed-small is ddim with eta 1",
			Source: "DDPM, arXiv 2006.11239",
		},
		{
			Name: "sa-solver", Aliases: []string{"SASolverScheduler"}, Sampler: SASolver, Order: 2, MaxOrder: 4, NFE: once,
			Stochastic: true, Eta: 1, UsesEta: true, Variants: []string{saData, saNoise}, Extra: []string{"final", "corrector", "uncorrected", "churn_min", "churn_max"},
			About:  "SA-Solver: stochastic Adams predictor-corrector, orders 1-4; eta is its tau, between s-min and s-max (diffusers: about 0.72 to 25)",
			Source: "SA-Solver, arXiv 2309.05019; diffusers",
		},
		{
			Name: "restart", Sampler: Restart, Order: 2, NFE: twice, Extra: []string{"noise_scale", "restart"},
			About:  "Heun with intervals where noise is added and removed again (--restart)",
			Source: "Restart, arXiv 2306.14878",
		},
		{
			Name: "heun-flow", Aliases: []string{"flow-match-heun-discrete"}, Sampler: HeunFlow, Order: 2, NFE: twice, UsesChurn: true, OneStep: true,
			About:  "Heun's method in the time of flow matching",
			Source: "arXiv 2210.02747; diffusers",
		},
		{
			Name: "consistency", Aliases: []string{"cm", "ctm", "CMStochasticIterativeScheduler", "lcm", "LCMScheduler"}, Sampler: Consistency,
			Order: 1, NFE: once, Stochastic: true, Eta: 1, UsesEta: true,
			About:  "multistep sampling of consistency models: denoise, add noise; eta below 1 is CTM's gamma",
			Source: "arXiv 2303.01469 and 2310.02279",
		},
		{
			Name: "tcd", Aliases: []string{"TCDScheduler"}, Sampler: TCD, Order: 1, NFE: once, Stochastic: true, Eta: 0.3, UsesEta: true, OneStep: true,
			About:  "TCD: down to (1-eta) of the next noise level, then noise (diffusers: of the next training step)",
			Source: "TCD, arXiv 2402.19159",
		},
	}
}

// dpmOrder is the order of the multistep DPM-Solver: its published third order lacks a factor.
func dpmOrder(order int, variant string) int {
	if variant == dpmThird {
		return order
	}
	return min(order, 2)
}
