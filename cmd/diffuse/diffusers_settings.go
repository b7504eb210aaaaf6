package main

import (
	"fmt"
	"strings"

	"diffuse/sampler"
	"diffuse/schedule"
	"diffuse/unet"
	"diffuse/zoo"
)

// schedulerSettings translates the scheduler of diffusers that a model came with into what sample does without flags: the entry's sampler,
// steps and range, and values of other flags, which hold where they are not given.
func schedulerSettings(s unet.Scheduler, m *model) (zoo.Entry, map[string]string) {
	e := edmSettings()
	e.Sampler, e.Steps = "ddim", 50
	e.SigmaMin, e.SigmaMax = m.precond.SigmaMin, min(m.precond.SigmaMax, schedule.PureNoise)
	switch info, err := sampler.Lookup(s.Class); {
	case s.Class == "DPMSolverMultistepScheduler" || s.Class == "EDMDPMSolverMultistepScheduler":
		e.Sampler = "dpmpp" // which has all of its forms
	case err == nil:
		e.Sampler = info.Name
	}
	switch {
	case s.Class == "" && m.precond.Name == "discrete":
		return e, nil
	case m.precond.Name == "edm" || m.precond.Name == "edm-v":
		e.SigmaMin, e.SigmaMax, e.Rho, e.Steps = s.SigmaMin, s.SigmaMax, s.Rho, 18
	case m.precond.Name == "consistency":
		e.Rho, e.Steps = s.Rho, 1
	case m.precond.Name == "score":
		e.Sampler = "heun"
		return e, nil
	case e.Sampler == "consistency" || e.Sampler == "tcd":
		e.Steps = 4
	}
	flags := map[string]string{}
	if text := scheduleOf(s, m.precond); text != "" {
		flags["schedule"] = text
	}
	solverOf(s, e.Sampler, flags)
	if hasWays(s) {
		flags["like-diffusers"] = "true"
	}
	return e, flags
}

// scheduleOf writes the noise levels of a scheduler as --schedule reads them, "" where it has the levels that a model's own settings give.
func scheduleOf(s unet.Scheduler, p schedule.Precond) string {
	var parts []string
	option := func(key string, value any) { parts = append(parts, fmt.Sprintf("%s=%v", key, value)) }
	switch p.Name {
	case "consistency":
		option("timesteps", s.NumTrainTimesteps)
		option("final", schedule.FinalSigmaMin)
		return "consistency:" + strings.Join(parts, ",")
	case "edm", "edm-v":
		if s.SigmaSchedule == "exponential" {
			return "exponential"
		}
		return ""
	}
	names := map[string]string{"linear": "linear", "scaled_linear": "scaled-linear", "squaredcos_cap_v2": "squaredcos", "sigmoid": "sigmoid-geodiff"}
	name, known := names[s.BetaSchedule]
	if !known || len(s.TrainedBetas) > 0 {
		return ""
	}
	if name != "squaredcos" {
		option("beta-start", s.BetaStart)
		option("beta-end", s.BetaEnd)
	}
	if s.NumTrainTimesteps != 1000 {
		option("timesteps", s.NumTrainTimesteps)
	}
	if s.ZeroSNR {
		parts = append(parts, "zero-snr")
	}
	like := likeOf(s.Class)
	option("spacing", s.Spacing)
	option("like", like)
	if s.Spacing == schedule.SpacingLeading && s.StepsOffset > 0 {
		option("steps-offset", s.StepsOffset)
	}
	switch {
	case s.Karras:
		option("sigmas", schedule.SigmasKarras)
	case s.Exponential || s.Lu:
		option("sigmas", schedule.SigmasExponential)
	case s.Beta:
		option("sigmas", schedule.SigmasBeta)
	}
	if endsAbove(s, like) {
		option("final", schedule.FinalSigmaMin)
	}
	return name + ":" + strings.Join(parts, ",")
}

// likeOf says whose rules place a scheduler's timesteps.
func likeOf(class string) string {
	for prefix, like := range map[string]string{"DPMSolverM": schedule.LikeDPMSolver, "DPMSolverSi": schedule.LikeDPMSolver, "UniPC": schedule.LikeDPMSolver,
		"DEIS": schedule.LikeDPMSolver, "SASolver": schedule.LikeDPMSolver, "Euler": schedule.LikeEuler, "Heun": schedule.LikeEuler,
		"LMS": schedule.LikeEuler, "KDPM2": schedule.LikeEuler, "DPMSolverSDE": schedule.LikeEuler} {
		if strings.HasPrefix(class, prefix) {
			return like
		}
	}
	return schedule.LikeDDPM
}

// endsAbove says whether the last step leads to the table's lowest level. It cannot where the last timestep is that one already.
func endsAbove(s unet.Scheduler, like string) bool {
	switch {
	case s.Karras || s.Exponential || s.Beta || s.Lu:
		return false
	case s.Spacing == schedule.SpacingLeading && s.StepsOffset == 0, s.Spacing == schedule.SpacingLinspace && like != schedule.LikeDPMSolver:
		return false
	case s.Class == "TCDScheduler":
		return true
	case like == schedule.LikeDPMSolver:
		return s.FinalSigmas == "sigma_min" || strings.HasPrefix(s.Class, "DEIS")
	}
	return (s.Class == "DDIMScheduler" || s.Class == "PNDMScheduler") && !s.AlphaOne
}

// solverOf adds the flags of a solver and of limits to its estimates.
func solverOf(s unet.Scheduler, name string, flags map[string]string) {
	order := func(v int) {
		if v > 0 {
			flags["order"] = fmt.Sprint(v)
		}
	}
	switch name {
	case "ddpm", "ddim":
		if s.ClipSample && !s.Thresholding {
			flags["clip"] = fmt.Sprint(s.ClipRange)
		}
		if name == "ddpm" && strings.HasPrefix(s.Variance, "fixed_large") {
			flags["variant"] = "fixed-large"
		}
	case "pndm":
		if !s.SkipPRK {
			flags["variant"] = "prk"
		}
	case "dpmpp-2m", "dpmpp", "dpmpp-singlestep":
		order(s.Order)
		dpmSolverOf(s, flags)
	case "unipc":
		order(s.Order)
		flags["variant"] = s.SolverType
		if s.SolverType == "" {
			flags["variant"] = "bh2"
		}
		if len(s.Disable) > 0 {
			flags["uncorrected"] = fmt.Sprint(len(s.Disable))
		}
	case "deis":
		order(s.Order)
		flags["variant"] = "log-rho"
	case "sa-solver":
		order(s.Predictor)
		flags["corrector"] = fmt.Sprint(s.Corrector)
	case "consistency":
		if s.Class == "CMStochasticIterativeScheduler" && s.ClipDenoised {
			flags["threshold"] = "static"
		}
	}
	switch {
	case !s.Thresholding:
	case s.MaxValue > 1:
		flags["threshold"] = fmt.Sprintf("dynamic:%g:%g", s.Quantile, s.MaxValue)
	case name == "ddpm" || name == "ddim": // a limit of 1 is all that is left of it
		flags["clip"] = "1"
	default:
		flags["threshold"] = "static"
	}
}

// dpmSolverOf adds the form of a DPM-Solver.
func dpmSolverOf(s unet.Scheduler, flags map[string]string) {
	flags["variant"] = s.SolverType
	if s.SolverType == "" {
		flags["variant"] = "midpoint"
	}
	if strings.HasSuffix(s.Algorithm, "dpmsolver") {
		flags["variant"] = map[string]string{"midpoint": "noise", "heun": "noise-heun"}[flags["variant"]]
	}
	if strings.HasPrefix(s.Algorithm, "sde") {
		flags["eta"] = "1"
		if s.Order == 3 {
			flags["variant"] = "diffusers-sde3"
		}
	}
	switch {
	case s.Class == "DPMSolverSinglestepScheduler":
	case !s.LowerFinal:
		flags["final"] = sampler.FinalFull
	case s.EulerFinal:
		flags["final"] = sampler.FinalEuler
	default:
		flags["final"] = sampler.FinalFew
	}
}
