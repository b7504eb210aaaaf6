package train_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"diffuse/train"
)

// TestFindRate: the rates rise by equal factors, the loss ends far above its least, and the rate that is read off lies where this network trains.
func TestFindRate(t *testing.T) {
	n := tiny(t)
	trial := train.RateTrial{From: 1e-5, To: 10, Steps: 120}
	points, err := train.FindRate(t.Context(), trial, options(), n, n.clone(), toy{})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range points {
		if want := 1e-5 * math.Pow(1e6, float64(i)/119); !(math.Abs(p.Rate-want) < 1e-9*want) || !(p.Loss > 0) || !(p.Smoothed > 0) {
			t.Fatalf("step %d: %+v, want rate %v", i, p, want)
		}
	}
	suggested, lowest, ok := train.SuggestRate(points)
	t.Logf("%d steps, lowest at %.3g, last %+v", len(points), lowest, points[len(points)-1])
	if !ok || !(lowest > 1e-3) || !(lowest < 1) || suggested != lowest/10 || len(points) == 120 {
		t.Errorf("lowest at %v, suggested %v, %v after %d steps, want a minimum between 1e-3 and 1 and an early end", lowest, suggested, ok, len(points))
	}
	// It is a run but for its rate: its first loss is that of any run.
	if r := steps(t, trainer(t, options()), 1); r[0].Loss != points[0].Loss {
		t.Errorf("the first loss is %v, in a run %v", points[0].Loss, r[0].Loss)
	}
	if _, _, ok := train.SuggestRate(points[:1]); ok {
		t.Error("one step suggests a rate")
	}
	ctx, cancel := context.WithCancel(t.Context())
	trial.Progress = func(train.RatePoint) { cancel() }
	if points, err := train.FindRate(ctx, trial, options(), n, n.clone(), toy{}); len(points) != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled after %d steps: %v", len(points), err)
	}
}
