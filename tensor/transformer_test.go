package tensor_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"diffuse/internal/golden"
	"diffuse/tensor"
)

// load decodes a JSON file of testdata/.
func load(t *testing.T, v any, path ...string) {
	t.Helper()
	b, err := os.ReadFile(golden.Path(t, path...))
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func flat(rows [][]float64) (list []float64) {
	for _, r := range rows {
		list = append(list, r...)
	}
	return list
}

// bands are the four parts of a wavelet transform; the first letter is the horizontal band.
type bands struct{ LL, HL, LH, HH [][]float64 }

// TestGoldenWavelet compares every band, of two levels where they are recorded. Values are of order 1 and each is a sum of at
// most 25 float32 products a level: 1e-6.
func TestGoldenWavelet(t *testing.T) {
	var file struct {
		Cases []struct {
			Case string
			X    [][]float64
			bands
			Level2 *bands `json:"level2_of_LL"`
		}
	}
	load(t, &file, "samplers", "wavelets.json")
	if len(file.Cases) != 3 {
		t.Fatalf("%d cases, want 3", len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.Case, func(t *testing.T) {
			h, w := len(c.X), len(c.X[0])
			x := tensor.New(1, h, w, 1)
			for i, v := range flat(c.X) {
				x.Data[i] = float32(v)
			}
			channel := func(y *tensor.Tensor, k int) (list []float32) {
				d := y.Shape[3]
				for i := k; i < y.Len(); i += d {
					list = append(list, y.Data[i])
				}
				return list
			}
			y := tensor.Wavelet(nil, x, 1)
			for k, want := range [][][]float64{c.LL, c.HL, c.LH, c.HH} {
				golden.Close(t, fmt.Sprint("band ", k), channel(y, k), flat(want), 1e-6)
			}
			if c.Level2 == nil {
				return
			}
			// In a patch of 4×4 the second level's bands stand at rows and columns 0 and 2, the first level's details at the odd ones.
			y = tensor.Wavelet(nil, x, 2)
			for k, want := range map[int][][]float64{0: c.Level2.LL, 2: c.Level2.HL, 8: c.Level2.LH, 10: c.Level2.HH} {
				golden.Close(t, fmt.Sprint("level 2, channel ", k), channel(y, k), flat(want), 1e-6)
			}
			if got, want := float64(channel(y, 1)[0]), c.HL[0][0]; !(math.Abs(got-want) <= 1e-6) {
				t.Errorf("first detail is %g, want %g", got, want)
			}
		})
	}
}

// TestInverseWavelet: the inverse restores pictures of several channels that are not square, up to the rounding of a few
// float32 additions.
func TestInverseWavelet(t *testing.T) {
	x := random(rand.New(rand.NewPCG(1, 9)), 2, 8, 24, 3)
	for levels := range 4 {
		y := tensor.Wavelet(nil, x, levels)
		if k := 1 << levels; y.Shape[1] != 8/k || y.Shape[2] != 24/k || y.Shape[3] != 3*k*k {
			t.Errorf("%d levels: shape %v", levels, y.Shape)
		}
		golden.Close(t, fmt.Sprint(levels, " levels"), tensor.InverseWavelet(nil, y, levels).Data, x.Data, 2e-6)
	}
}

// TestGoldenRotation: queries and keys are turned as recorded, values are not. float32 angles of up to 5 and values of order 1:
// 1e-6.
func TestGoldenRotation(t *testing.T) {
	var file struct {
		Cases []struct {
			Case           string
			Base           float64
			Rows, Cols     []int
			X, Interleaved [][]float64
		}
	}
	load(t, &file, "samplers", "rope2d.json")
	if len(file.Cases) != 2 {
		t.Fatalf("%d cases, want 2", len(file.Cases))
	}
	for _, c := range file.Cases {
		const h, w, heads = 4, 6, 2
		d := len(c.X[0])
		qkv := tensor.New(1, h, w, 3*d*heads)
		at := func(i, head, channel, which int) int {
			return (c.Rows[i]*w+c.Cols[i])*3*d*heads + 3*d*head + 3*channel + which
		}
		for i, x := range c.X {
			for k, v := range x {
				for j := range 3 * heads {
					qkv.Data[at(i, j/3, k, j%3)] = float32(v)
				}
			}
		}
		y := tensor.Rotate2D(nil, qkv, heads, c.Base)
		for i := range c.X {
			for j := range 3 * heads {
				want := c.Interleaved[i]
				if j%3 == 2 {
					want = c.X[i]
				}
				got := make([]float32, d)
				for k := range got {
					got[k] = y.Data[at(i, j/3, k, j%3)]
				}
				golden.Close(t, fmt.Sprintf("%s: vector %d, head %d, part %d", c.Case, i, j/3, j%3), got, want, 1e-6)
			}
		}
	}
}

// TestLayerNorm compares with the definition in float64.
func TestLayerNorm(t *testing.T) {
	const n, p, c, eps = 2, 6, 5, 1e-5
	r := rand.New(rand.NewPCG(2, 9))
	x, gamma, beta, scale, shift := random(r, n, 2, 3, c), random(r, c), random(r, c), random(r, n, c), random(r, n, c)
	want := make([]float64, x.Len())
	for j := range n * p {
		var mean, sq float64
		row := x.Data[j*c:][:c]
		for _, v := range row {
			mean += float64(v) / c
		}
		for _, v := range row {
			sq += (float64(v) - mean) * (float64(v) - mean) / c
		}
		for k, v := range row {
			z := (float64(v)-mean)/math.Sqrt(sq+eps)*float64(gamma.Data[k]) + float64(beta.Data[k])
			want[j*c+k] = z*(1+float64(scale.Data[j/p*c+k])) + float64(shift.Data[j/p*c+k])
		}
	}
	golden.Close(t, "y", tensor.LayerNorm(nil, x, gamma, beta, scale, shift, eps).Data, want, 1e-5) // values of order 10 in float32
}

// TestAddPlaces: a picture smaller than the table uses its upper left part.
func TestAddPlaces(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	x, table := random(r, 2, 2, 3, 4), random(r, 3, 5, 4)
	y := tensor.AddPlaces(nil, x, table)
	for i, v := range y.Data {
		want := x.Data[i] + table.Data[(i/12%2*5+i/4%3)*4+i%4]
		if v != want {
			t.Fatalf("value %d is %g, want %g", i, v, want)
		}
	}
}

// TestTransformerGradients checks the operations of this file against differences.
func TestTransformerGradients(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 9))
	type T = tensor.Tensor
	for name, c := range map[string]struct {
		f      func(t *tensor.Tape, in []*T) *T
		inputs []*T
	}{
		"wavelet":           {func(t *tensor.Tape, in []*T) *T { return tensor.Wavelet(t, in[0], 1) }, []*T{random(r, 2, 6, 4, 3)}},
		"wavelet, 3 levels": {func(t *tensor.Tape, in []*T) *T { return tensor.Wavelet(t, in[0], 3) }, []*T{random(r, 1, 8, 16, 2)}},
		"inverse":           {func(t *tensor.Tape, in []*T) *T { return tensor.InverseWavelet(t, in[0], 1) }, []*T{random(r, 2, 3, 2, 12)}},
		"inverse, 2 levels": {func(t *tensor.Tape, in []*T) *T { return tensor.InverseWavelet(t, in[0], 2) }, []*T{random(r, 1, 2, 3, 32)}},
		"rotation":          {func(t *tensor.Tape, in []*T) *T { return tensor.Rotate2D(t, in[0], 2, 100) }, []*T{random(r, 2, 5, 3, 48)}},
		"places": {func(t *tensor.Tape, in []*T) *T { return tensor.AddPlaces(t, in[0], in[1]) },
			[]*T{random(r, 2, 2, 3, 4), random(r, 3, 3, 4)}},
		"layer norm": {func(t *tensor.Tape, in []*T) *T { return tensor.LayerNorm(t, in[0], in[1], in[2], in[3], in[4], 1e-5) },
			[]*T{random(r, 2, 2, 3, 7), random(r, 7), random(r, 7), random(r, 2, 7), random(r, 2, 7)}},
	} {
		t.Run(name, func(t *testing.T) {
			checkGradient(t, c.inputs, func(tp *tensor.Tape) *T { return c.f(tp, c.inputs) })
		})
	}
}
