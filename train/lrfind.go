package train

import (
	"context"
	"errors"
	"math"

	"diffuse/dataset"
)

// A RatePoint is one step of a trial with a rising learning rate.
type RatePoint struct {
	Rate     float64 `json:"lr"`
	Loss     float64 `json:"loss"`     // of the step's batch, before it
	Smoothed float64 `json:"smoothed"` // loss averaged over about the last twenty steps
}

// A RateTrial says how far and how finely the rate rises in FindRate: evenly on a logarithmic scale.
type RateTrial struct {
	From, To float64
	Steps    int
	Progress func(RatePoint) // called after every step; may be nil
}

// DefaultRateTrial returns a trial over all rates that Adam is used with.
func DefaultRateTrial() RateTrial { return RateTrial{From: 1e-6, To: 1, Steps: 300} }

// diverged is how many times its least value the smoothed loss reaches in a trial that has seen enough.
const diverged = 4

// FindRate trains net, whose weights it spoils, at a learning rate that rises from step to step (Smith 2015, "Cyclical Learning Rates for Training
// Neural Networks", arXiv 1506.01186, section 3.3), and returns what happened until the loss had grown to four times its least value or was not finite.
// Everything but the rate is as the options say. ema is a second network of the same shape, which is overwritten.
func FindRate(ctx context.Context, trial RateTrial, o Options, net, ema Network, data dataset.Dataset) ([]RatePoint, error) {
	t, err := NewTrainer(o, net, ema, data)
	if err != nil {
		return nil, err
	}
	var points []RatePoint
	step := 0
	t.rate = func(int64) float64 {
		return trial.From * math.Pow(trial.To/trial.From, float64(step)/float64(trial.Steps-1))
	}
	const keep = 0.95 // of the smoothed loss, in a step
	sum, weight, least := 0.0, 0.0, math.Inf(1)
	for ; step < trial.Steps; step++ {
		if ctx.Err() != nil {
			return points, context.Cause(ctx)
		}
		r, err := t.Step()
		var bad *NonFinite
		if errors.As(err, &bad) {
			return points, nil
		}
		if err != nil {
			return points, err
		}
		sum, weight = keep*sum+(1-keep)*r.Loss, keep*weight+(1-keep)
		p := RatePoint{Rate: r.LR, Loss: r.Loss, Smoothed: sum / weight}
		points = append(points, p)
		if trial.Progress != nil {
			trial.Progress(p)
		}
		if least = min(least, p.Smoothed); p.Smoothed > diverged*least {
			break
		}
	}
	return points, nil
}

// SuggestRate reads a trial: the rate at which the smoothed loss was least, and a tenth of it as the rate to train with. ok is false if the loss was
// least at an end of the trial, which then tells nothing.
func SuggestRate(points []RatePoint) (suggested, lowest float64, ok bool) {
	best := 0
	for i, p := range points {
		if p.Smoothed < points[best].Smoothed {
			best = i
		}
	}
	if best == 0 || best == len(points)-1 {
		return 0, 0, false
	}
	return points[best].Rate / 10, points[best].Rate, true
}
