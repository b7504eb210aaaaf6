package unet_test

import (
	"fmt"
	"math"
	"testing"

	"diffuse/unet"
)

// alikeAhead says whether Σ_i cos(m·base^(−i/pairs)) ≥ 0 for m = 0 … places−1.
func alikeAhead(places, pairs int, base float64) bool {
	for m := range places {
		sum := 0.0
		for i := range pairs {
			sum += math.Cos(float64(m) * math.Pow(base, -float64(i)/float64(pairs)))
		}
		if sum < 0 {
			return false
		}
	}
	return true
}

// TestRopeBase: the rule holds at the base and at none of a hundred smaller ones, the nearest of them 0.5 % below unless that is less than
// 1; a longer side never asks for a smaller base.
func TestRopeBase(t *testing.T) {
	for _, pairs := range []int{3, 4, 8, 16, 32} {
		last := 0.0
		for _, places := range []int{1, 2, 3, 4, 7, 8, 16, 28, 32, 64} {
			base, ok := unet.RopeBase(places, pairs)
			if !ok || !alikeAhead(places, pairs, base) {
				t.Fatalf("%d places, %d pairs: base %g does not hold (%v)", places, pairs, base, ok)
			}
			for k := range 100 {
				if below := math.Pow(base, float64(k)/100) * 0.995; below >= 1 && alikeAhead(places, pairs, below) {
					t.Errorf("%d places, %d pairs: base %g, but %g holds too", places, pairs, base, below)
				}
			}
			if !(base >= last) {
				t.Errorf("%d places, %d pairs: base %g, of a shorter side %g", places, pairs, base, last)
			}
			last = base
		}
	}
	for _, c := range []struct {
		places, pairs int
		want          float64
	}{{1, 1, 1}, {2, 1, 1}, {2, 16, 1}, {16, 16, 29.9}} {
		if base, ok := unet.RopeBase(c.places, c.pairs); !ok || base != c.want {
			t.Errorf("%d places, %d pairs: %g, %v, want %g", c.places, c.pairs, base, ok, c.want)
		}
	}
	for _, c := range [][2]int{{3, 1}, {64, 1}, {4, 0}, {512, 2}} { // cos 355 is −1 but for 5e-10
		if base, ok := unet.RopeBase(c[0], c[1]); ok {
			t.Errorf("%d places, %d pairs: base %g, want none", c[0], c[1], base)
		}
	}
}

// TestRopeBaseDefault: a base of 0 becomes that of the lowest level's side, a base that is given stays.
func TestRopeBaseDefault(t *testing.T) {
	base := func(change func(c *unet.Config)) string {
		c := unet.DefaultConfig("uvit")
		c.Resolution, c.UViT.RopeBase = 64, 0
		change(&c)
		return fmt.Sprint(c.WithDefaults().UViT.RopeBase)
	}
	for want, change := range map[string]func(c *unet.Config){
		"29.9": func(c *unet.Config) {},
		"50":   func(c *unet.Config) { c.UViT.RopeBase = 50 },
		"100":  func(c *unet.Config) { c.UViT.HeadChannels = 4 },
		"108":  func(c *unet.Config) { c.FirstOp, c.PatchSize, c.Resolution = unet.FirstWavelet, 2, 256 },
		"315":  func(c *unet.Config) { c.Resolution = 256 },
	} {
		if got := base(change); got != want {
			t.Errorf("base %s, want %s", got, want)
		}
	}
}
