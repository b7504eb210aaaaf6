package train

import (
	"math"
	"testing"
	"time"
)

// TestMeter: a clock that was set back, as a reading without its monotonic part shows it, and a run that would take longer than a Duration can say
// leave rates and the remaining time finite and not negative.
func TestMeter(t *testing.T) {
	var m meter
	m.start(100)
	m.last = time.Now().Add(time.Hour).Round(0)
	m.step(108, 0.5)
	m.last = m.last.Add(-2 * time.Second)
	m.step(116, 0.5)
	p := m.progress(math.MaxInt64)
	seconds, otherwise, rate := m.lap()
	for what, v := range map[string]float64{"rate": p.Rate, "loss": p.Loss, "rate of the lap": rate} {
		if !(v > 0) || math.IsInf(v, 0) {
			t.Errorf("%s is %v", what, v)
		}
	}
	if !(seconds >= 2 && seconds < 60) || otherwise != 0 || !(p.Remaining > 100*365*24*time.Hour) {
		t.Errorf("%v s in steps, %v s otherwise, %v to go", seconds, otherwise, p.Remaining)
	}
}
