package schedule

func buildBetas(f func(T int, start, end float64) []float64, start, end float64) func(*options) Schedule {
	return func(o *options) Schedule {
		start, end := o.number("beta-start", start, 1e-9, 0.999), o.number("beta-end", end, 1e-9, 0.999)
		return buildTable(o, func(T int) []float64 { return f(T, start, end) })
	}
}

func buildSquaredCos(o *options) Schedule {
	return buildTable(o, func(T int) []float64 { return BetasOf(SquaredCosine, T) })
}

func buildSigmoidTable(o *options) Schedule {
	l := sigmoidOptions(o)
	alphaBar := func(t float64) float64 { a, _ := AlphaSigma(l(t)); return a * a }
	return buildTable(o, func(T int) []float64 { return BetasOf(alphaBar, T) })
}

func buildLaplaceTable(o *options) Schedule {
	return buildTable(o, func(T int) []float64 { return BetasOf(laplaceDiffusers, T) })
}

// buildTable reads the options that all tables share. Lookup makes the Grid.
func buildTable(o *options, betas func(T int) []float64) Schedule {
	T := o.whole("timesteps", 1000, 2, maxTable)
	d := Discrete{
		Spacing: o.word("spacing", SpacingTrailing, SpacingLeading, SpacingLinspace, SpacingLCM),
		Like:    o.word("like", LikeDDPM, LikeDPMSolver, LikeEuler, LikeKDiffusion),
		Sigmas:  o.word("sigmas", SigmasTable, SigmasKarras, SigmasExponential, SigmasBeta),
		Rho:     o.number("rho", 7, 0.01, 1000),
		Final:   o.word("final", FinalZero, FinalSigmaMin),
	}
	d.StepsOffset = o.whole("steps-offset", 0, 0, maxTable)
	if d.StepsOffset > 0 && d.Spacing != SpacingLeading {
		o.fail("steps-offset belongs to spacing=leading")
	}
	round := exactly
	if o.flag("float32") {
		round = single
	}
	zero := o.flag("zero-snr")
	if o.err != nil {
		return Schedule{}
	}
	b := betas(T)
	if zero {
		b = rescaleZeroSNR(b, round)
	}
	var err error
	if d.Table, err = newTable(b, round); err != nil {
		o.fail("%w", err)
		return Schedule{}
	}
	return Schedule{SigmaMin: d.Table.Sigma[0], SigmaMax: d.Table.Sigma[T-1], Discrete: &d}
}
