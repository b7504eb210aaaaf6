package zoo_test

import (
	"testing"

	"diffuse/imageio"
	"diffuse/sampler"
	"diffuse/tensor"
	"diffuse/zoo"
)

// TestPrecisionOfPictures: in bf16x3 the default model draws what it draws in float32, but for a grey level in a few pixels. CPUs without tiles
// compute bf16x3 in float32, so that it says nothing there.
func TestPrecisionOfPictures(t *testing.T) {
	entry := zoo.Entries()[zoo.Default]
	m, err := openModel(entry)
	if err != nil {
		t.Fatal(err)
	}
	draw := func(p tensor.Precision) []byte {
		d, err := m.Denoiser([]int{0, 1, 2, 3})
		if err != nil {
			t.Fatal(err)
		}
		d.Net = d.WithPrecision(p)
		h, w := d.Size()
		x := make([]float64, len(d.Labels)*d.InChannels*h*w)
		sampler.BatchNoise([]uint64{4, 5, 6, 7}, len(x)/len(d.Labels), "latent")(x)
		for i := range x {
			x[i] *= entry.SigmaMax
		}
		d.At(x, x, entry.SigmaMax)
		return imageio.FromPlanes(x, 1, len(d.Labels)*h, w).Pix
	}
	plain, split := draw(tensor.Float32), draw(tensor.BFloat16x3)
	differ := 0
	for i, v := range plain {
		switch d := int(v) - int(split[i]); {
		case d < -1 || d > 1:
			t.Fatalf("byte %d: %d in float32, %d in bf16x3", i, v, split[i])
		case d != 0:
			differ++
		}
	}
	t.Logf("%d of %d bytes differ", differ, len(plain))
	if 100*differ > len(plain) { // an error of 1e-5 is 1/800 of a grey level
		t.Errorf("%d of %d bytes differ", differ, len(plain))
	}
}
