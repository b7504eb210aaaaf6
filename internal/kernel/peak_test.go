package kernel_test

import (
	"testing"

	"diffuse/internal/kernel"
)

func TestPeakLoop(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, turns := range []int{-1, 0, 1, 2, 7, 1000} {
			if got, want := kernel.PeakLoop(turns), float32(max(0, turns))/2; got != want {
				t.Errorf("PeakLoop(%d) = %g, want %g", turns, got, want)
			}
		}
		if n := kernel.PeakTurn(); n < 16 {
			t.Errorf("PeakTurn() = %d", n)
		}
	})
}

func BenchmarkPeakLoop(b *testing.B) {
	for l := kernel.Generic; l <= kernel.Best(); l++ {
		b.Run(l.String(), func(b *testing.B) {
			defer kernel.SetLevel(l)()
			for b.Loop() {
				kernel.PeakLoop(1 << 14)
			}
			b.ReportMetric(float64(kernel.PeakTurn()<<14)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
