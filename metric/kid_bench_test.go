package metric_test

import (
	"fmt"
	"testing"

	"diffuse/metric"
)

// The peers' subsets of 1000, at the width of the small classifier and of Inception; ns/op is a pair of subsets.
func BenchmarkKID(b *testing.B) {
	for _, d := range []int{128, 2048} {
		b.Run(fmt.Sprintf("d=%d", d), func(b *testing.B) {
			x, y := random(1, 1500, d), random(2, 1500, d)
			in1, in2, err := metric.KIDDraws(x.N, y.N, 1000, 1, 1)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := metric.KIDSubsets(b.Context(), x, y, in1, in2, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
