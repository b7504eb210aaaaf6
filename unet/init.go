package unet

import (
	"math"

	"diffuse/tensor"
)

// An initRule is one of EDM's initialisations, scaled by weight and bias.
// SongUNet draws Xavier uniform, U(±√(6/(fan_in+fan_out))), with zero biases;
// ADM draws Kaiming uniform, U(±√(3/fan_in)), or normal, N(0, 1/fan_in).
type initRule struct {
	kaiming, normal bool
	weight, bias    float64 // factors; 0 leaves zeros
}

var admInit = initRule{kaiming: true, weight: math.Sqrt(1. / 3), bias: math.Sqrt(1. / 3)}

// init draws w and b (nil = none) and registers them under name.
func (b *builder) init(name string, w, bias *tensor.Tensor, fanIn, fanOut int, r initRule) {
	draw := func() float64 {
		switch {
		case r.normal:
			return math.Sqrt(1/float64(fanIn)) * b.rng.NormFloat64()
		case r.kaiming:
			return math.Sqrt(3/float64(fanIn)) * (2*b.rng.Float64() - 1)
		}
		return math.Sqrt(6/float64(fanIn+fanOut)) * (2*b.rng.Float64() - 1)
	}
	fill := func(x *tensor.Tensor, gain float64) {
		if gain == 0 || b.rng == nil {
			return
		}
		for i := range x.Data {
			x.Data[i] = float32(gain * draw())
		}
	}
	fill(w, r.weight)
	b.add(name+".weight", w)
	if bias != nil {
		fill(bias, r.bias)
		b.add(name+".bias", bias)
	}
}
