package metric_test

import (
	"testing"

	"diffuse/imageio"
	"diffuse/internal/golden"
	"diffuse/metric"
)

// TestGoldenResized compares rows of resized pictures with the peers'. Tolerance: float32 rounds values of up to 255 by 8e-6 and of up
// to 1 by 3e-8, here and there a few times on the way.
func TestGoldenResized(t *testing.T) {
	recorded := golden.Tensors(t, golden.Path(t, "metrics", "inception.safetensors"))
	rows := []int{0, 1, 5, 148, 149, 293, 298}
	const n = metric.InceptionSize
	for _, c := range []struct {
		name       string
		door       metric.FrontDoor
		scale, add float64 // undo the shift
		tolerance  float64
	}{
		{"tf1", metric.TorchFidelity, 128, 128, 3e-5},
		{"torch", metric.PytorchFID, 0.5, 0.5, 5e-7},
		{"clean", metric.CleanFID, 128, 128, 3e-5},
	} {
		for _, picture := range []string{"a32_0", "d400x350_0"} {
			m, err := imageio.DecodeFile(golden.Path(t, "metrics", picture+".png"), 0)
			if err != nil {
				t.Fatal(err)
			}
			name := "resized." + c.name + "." + picture + ".rows"
			want, err := recorded[name].Float64()
			if err != nil {
				t.Fatal(err)
			}
			x := prepared(t, c.door, []imageio.Image{m})
			var got []float64
			for ch := range 3 {
				for _, row := range rows {
					for j := range n {
						got = append(got, float64(x[(row*n+j)*3+ch])*c.scale+c.add)
					}
				}
			}
			golden.Close(t, name, got, want, c.tolerance)
			most := 0.0
			for i, v := range want {
				most = max(most, got[i]-v, v-got[i])
			}
			t.Logf("%s: max error %.1e", name, most)
		}
	}
}

// At 299 pixels every door leaves the picture as it is, and the shifts alone differ.
func TestPrepareIdentity(t *testing.T) {
	const n = metric.InceptionSize
	m := imageio.New(n, n, 3)
	for i := range m.Pix {
		m.Pix[i] = uint8(i * i % 251)
	}
	tf, pt, clean := prepared(t, metric.TorchFidelity, []imageio.Image{m}), prepared(t, metric.PytorchFID, []imageio.Image{m}),
		prepared(t, metric.CleanFID, []imageio.Image{m})
	for i, v := range m.Pix {
		if want := (float32(v) - 128) / 128; tf[i] != want || clean[i] != want {
			t.Fatalf("value %d: %g and %g, want %g", i, tf[i], clean[i], want)
		}
		if d := float64(pt[i]) - (2*float64(v)/255 - 1); !(d <= 2e-7 && d >= -2e-7) {
			t.Fatalf("value %d: %g is off by %g", i, pt[i], d)
		}
	}
}
