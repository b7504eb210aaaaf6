package train

import (
	"math"
	"time"
)

// Progress tells how far a run is, after a step.
type Progress struct {
	Images    int64         // shown so far
	Duration  int64         // to show in all
	Loss      float64       // smoothed over about the last fifty steps
	Rate      float64       // images per second, smoothed over about ten seconds
	Remaining time.Duration // at that rate
}

// A meter measures the speed of a run.
type meter struct {
	images       int64     // at the last look
	last         time.Time // the last look
	shown, spent float64   // images and seconds, older ones fading
	loss, weight float64   // sums over steps, older ones fading
	lapImages    int64     // since the last lap
	lapSeconds   float64   // in steps, since the last lap
	lapOtherwise float64   // outside steps, since the last lap
}

func (m *meter) start(images int64) { *m = meter{images: images, last: time.Now()} }

// step notes that a step has ended.
func (m *meter) step(images int64, loss float64) {
	now := time.Now()
	dt := max(now.Sub(m.last).Seconds(), 0) // by the monotonic clock, which setting the time does not move
	n := images - m.images
	m.last, m.images = now, images
	fade := math.Exp(-dt / 10)
	m.shown, m.spent = m.shown*fade+float64(n), m.spent*fade+dt
	m.loss, m.weight = m.loss*0.98+loss, m.weight*0.98+1
	m.lapImages += n
	m.lapSeconds += dt
}

// pause notes that the time since the last step was not spent in steps.
func (m *meter) pause() {
	now := time.Now()
	m.lapOtherwise += now.Sub(m.last).Seconds()
	m.last = now
}

// lap returns the seconds spent in steps and otherwise, and the images per second, since the last lap.
func (m *meter) lap() (seconds, otherwise, rate float64) {
	seconds, otherwise, rate = m.lapSeconds, m.lapOtherwise, float64(m.lapImages)/max(m.lapSeconds, 1e-9)
	m.lapImages, m.lapSeconds, m.lapOtherwise = 0, 0, 0
	return seconds, otherwise, rate
}

func (m *meter) progress(duration int64) Progress {
	p := Progress{Images: m.images, Duration: duration, Loss: m.loss / m.weight, Rate: m.shown / max(m.spent, 1e-9)}
	left := float64(max(duration-m.images, 0)) / max(p.Rate, 1e-9) * float64(time.Second)
	p.Remaining = time.Duration(min(left, math.MaxInt64/2)).Round(time.Second) // a Duration ends at 292 years
	return p
}
