package main

import (
	"math"
	"strings"

	"diffuse/sampler"
	"diffuse/schedule"
	"diffuse/unet"
)

// schedulerWays are what a scheduler of diffusers does that no solver does by itself: --like-diffusers.
type schedulerWays struct {
	class   string
	stride  int              // timesteps that a step goes down
	final   float64          // the level below timestep 0
	table   []float64        // levels of the timesteps
	precond schedule.Precond // of the model, without ways
}

// hasWays says whether a scheduler has any. docs/schedules.md lists them.
func hasWays(s unet.Scheduler) bool {
	switch s.Class {
	case "DDIMScheduler", "PNDMScheduler", "TCDScheduler", "EulerDiscreteScheduler", "EDMEulerScheduler":
		return true
	}
	return toldTimestep(s) != nil
}

// toldTimestep returns what makes whole timesteps of those between the table's that DPM-Solver and its kin tell the network where the levels are
// not the table's: the nearest ones for karras and lu, rounded down for others, nil where they are told as they are.
func toldTimestep(s unet.Scheduler) func(t float64) float64 {
	switch {
	case likeOf(s.Class) != schedule.LikeDPMSolver:
	case (s.Karras || s.Lu) && s.BetaSchedule != "squaredcos_cap_v2", s.Karras && !strings.HasPrefix(s.Class, "DPMSolverM"):
		return math.RoundToEven
	case s.Karras || s.Lu || s.Exponential || s.Beta:
		return math.Floor
	}
	return nil
}

// planLike takes --like-diffusers.
func (o *sampleOptions) planLike(p *samplePlan) error {
	if !o.like {
		return nil
	}
	if p.model.scheduler == "" {
		return usagef("--like-diffusers: %s came with no scheduler of diffusers", p.model.name)
	}
	if p.guide != nil && p.guide.PlusPlus {
		return usagef("--like-diffusers and --guidance-method cfg++ contradict each other: both have steps of their own")
	}
	s, err := p.model.net.Scheduler()
	if err != nil {
		return err
	}
	if !hasWays(s) {
		return usagef("--like-diffusers: %s does nothing that --sampler %s does not do", s.Class, p.sampler.Name)
	}
	w := &schedulerWays{class: s.Class, precond: p.model.precond}
	if p.model.precond.Name == "discrete" {
		table, err := s.Trained.Table()
		if err != nil {
			return err
		}
		levels := p.sigmas
		if p.edit != nil {
			levels = p.edit.levels
		}
		w.table, w.stride = table.Sigma, len(table.Sigma)/(len(levels)-1)
		if !s.AlphaOne {
			w.final = table.Sigma[0]
		}
	}
	if n := len(p.sigmas) - 1; s.Class == "PNDMScheduler" && n > 1 && p.sigmas[n-1] == w.final {
		p.sigmas = p.sigmas[:n] // the last step leads nowhere
	}
	if whole := toldTimestep(s); whole != nil {
		known := *p.model
		known.precond = w.told(whole)
		p.model = &known
	}
	p.like = w
	return nil
}

// told is the model's preconditioning with other timesteps for labels.
func (w *schedulerWays) told(whole func(t float64) float64) schedule.Precond {
	p := w.precond
	p.Scaling = func(sigma float64) (skip, out, in, noise float64) {
		skip, out, in, noise = w.precond.Scaling(sigma)
		return skip, out, in, whole(noise)
	}
	return p
}

// timestep is the one nearest to a level.
func (w *schedulerWays) timestep(sigma float64) int {
	_, _, _, t := w.precond.Scaling(sigma)
	return int(math.RoundToEven(t))
}

// level is that of a timestep, or the one below all of them.
func (w *schedulerWays) level(t int) float64 {
	if t < 0 {
		return w.final
	}
	return w.table[t]
}

// limits says whether the solver itself applies the threshold.
func (w *schedulerWays) limits() bool { return w != nil && w.class == "DDIMScheduler" }

// solver is the scheduler's form of a solver. limit is the threshold, or nil.
func (w *schedulerWays) solver(plain sampler.Sampler, limit func(dst []float64)) sampler.Sampler {
	switch w.class {
	case "DDIMScheduler":
		return sampler.DDIMOver(sampler.DDIMRules{
			Land:  func(sigma, _ float64) float64 { return w.level(w.timestep(sigma) - w.stride) },
			Limit: limit,
		})
	case "EulerDiscreteScheduler", "EDMEulerScheduler":
		return sampler.DDIMOver(sampler.DDIMRules{Raise: w.raise})
	case "TCDScheduler":
		return sampler.TCDOver(func(next, eta float64) float64 {
			return w.level(int(math.Floor((1 - eta) * float64(w.timestep(next)))))
		})
	case "PNDMScheduler":
		return sampler.PNDMOver(func(sigma, next float64) (first, mid float64) {
			t := w.timestep(sigma)
			stride := t - w.timestep(next)
			return w.level(t - stride/2), w.level(t - (stride+1)/2)
		})
	}
	return plain
}

// raise keeps the network's output and applies it at the churned state and level.
func (w *schedulerWays) raise(den, x, raised []float64, sigma, high float64) {
	skip, out, _, _ := w.precond.Scaling(sigma)
	skipHigh, outHigh, _, _ := w.precond.Scaling(high)
	for i, d := range den {
		den[i] = skipHigh*raised[i] + outHigh*(d-skip*x[i])/out
	}
}
