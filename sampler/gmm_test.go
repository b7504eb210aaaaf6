package sampler_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffuse/sampler"
)

// Exact denoiser values of the three reference mixtures, atoms included, from sigma 0.002 to 80.
func TestGMMGolden(t *testing.T) {
	worstSeen = 0
	var data struct {
		Oracles map[string]oracleFile
		Cases   []struct {
			Case, Kind, Oracle string
			Sigma              float64
			X, D               [][]float64
		}
	}
	load(t, "oracles.json", &data)
	seen := 0
	for _, c := range data.Cases {
		if c.Kind != "denoise" {
			continue
		}
		seen++
		got := make([]float64, len(flat(c.X)))
		oracle(t, data.Oracles[c.Oracle]).Denoise(got, flat(c.X), c.Sigma)
		near(t, c.Case, got, flat(c.D), 1e-12) // both float64; the peer uses the same log-sum-exp
	}
	if seen < 18 {
		t.Errorf("only %d denoiser cases", seen)
	}
	t.Logf("%d cases, largest difference %.2g", seen, worstSeen)
}

// Where the naive formula would divide 0 by 0: far away, tiny sigma, weight 0, sigma 0.
func TestGMMExtremes(t *testing.T) {
	g := &sampler.GMM{Shape: []int{1, 1, 1}, Weights: []float64{1, 1, 0}, Means: [][]float64{{-1}, {1}, {5}}, Std: []float64{0, 0, 1}}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ x, sigma, want float64 }{
		{1e6, 0.002, 1}, {-1e-3, 1e-6, -1}, {0, 1e-8, 0}, {0.3, 1e-100, 1}, {0.7, 0, 0.7}, {0.7, 1e-200, 0.7}, {3, 1e8, 3e-16},
	} {
		got := []float64{0}
		g.Denoise(got, []float64{c.x}, c.sigma)
		near(t, "two atoms", got, []float64{c.want}, 1e-12)
	}
}

// A batch of pictures gives each picture what it gets alone.
func TestGMMBatch(t *testing.T) {
	g := gmm2()
	x := []float64{1, 2, -3, 0.5, 0.1, 0.2}
	all := make([]float64, 6)
	g.Denoise(all, x, 0.7)
	for i := 0; i < 6; i += 2 {
		one := make([]float64, 2)
		g.Denoise(one, x[i:i+2], 0.7)
		if one[0] != all[i] || one[1] != all[i+1] {
			t.Errorf("picture %d: %v alone, %v in the batch", i/2, one, all[i:i+2])
		}
	}
}

// gmm2 is the mixture of three Gaussians in two dimensions that the reference files use.
func gmm2() *sampler.GMM {
	return &sampler.GMM{Shape: []int{1, 1, 2}, Weights: []float64{.5, .3, .2},
		Means: [][]float64{{-1, .5}, {.8, .9}, {.2, -1.2}}, Std: []float64{.25, .15, .4}}
}

func TestReadGMM(t *testing.T) {
	const good = `{"shape":[1,1,2],"weights":[0.5,0.5],"means":[[0,1],[2,3]],"std":[0,0.1]}`
	g, err := sampler.ReadGMM(strings.NewReader(good))
	if err != nil || len(g.Means) != 2 {
		t.Fatalf("%+v, %v", g, err)
	}
	for text, want := range map[string]string{
		``:                     "not a mixture model",
		`[]`:                   "not a mixture model",
		good[:len(good)-1]:     "not a mixture model",
		good + good:            "more text",
		good + "x":             "more text",
		`{}`:                   "shape",
		`{"sigma":1}`:          "unknown field",
		`{"shape":[1,2]}`:      "shape has 2",
		`{"shape":[1,0,2]}`:    "not a picture's size",
		`{"shape":[1,1,-2]}`:   "not a picture's size",
		`{"shape":[1,1,2]}`:    "no weights",
		`{"shape":[1,1,1e99]}`: "not a mixture model",
		`{"shape":[2000000000,2000000000,2000000000],"weights":[1],"means":[[]],"std":[1]}`: "not a picture's size",
		strings.Replace(good, "[0,0.1]", "[0]", 1):                                          "as many",
		strings.Replace(good, "[0,0.1]", "[0,-0.1]", 1):                                     "std 1 is -0.1",
		strings.Replace(good, "[0,0.1]", "[0,1e999]", 1):                                    "not a mixture model",
		strings.Replace(good, "[0,0.1]", "[0,1e200]", 1):                                    "std 1 is 1e+200",
		strings.Replace(good, "[0.5,0.5]", "[0.5,-0.5]", 1):                                 "weight 1 is -0.5",
		strings.Replace(good, "[0.5,0.5]", "[0,0]", 1):                                      "sum",
		strings.Replace(good, "[0.5,0.5]", "[1e308,1e308]", 1):                              "sum",
		strings.Replace(good, "[2,3]", "[2]", 1):                                            "mean 1 has 1 numbers",
		strings.Replace(good, "[2,3]", "[2,null]", 1):                                       "null",
		strings.Replace(good, `"std"`, `"sd"`, 1):                                           "unknown field",
	} {
		if g, err := sampler.ReadGMM(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: got %v, error %v, want an error that says %q", text, g, err, want)
		}
	}
}

func TestOpenGMM(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.gmm.json")
	if _, err := sampler.OpenGMM(path); err == nil || !strings.Contains(err.Error(), "a.gmm.json") {
		t.Errorf("missing file: %v", err)
	}
	text, err := json.Marshal(gmm2())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if g, err := sampler.OpenGMM(path); err != nil || g.Std[2] != .4 {
		t.Errorf("%+v, %v", g, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := sampler.OpenGMM(path); err == nil || !strings.Contains(err.Error(), "a.gmm.json") {
		t.Errorf("broken file: %v", err)
	}
}

// Whatever the bytes, the reader does not panic, and a model it accepts survives being written and can denoise.
func FuzzReadGMM(f *testing.F) {
	f.Add([]byte(`{"shape":[1,1,2],"weights":[0.5,0.5],"means":[[0,1],[2,3]],"std":[0,0.1]}`), 0.5)
	f.Add([]byte(`{"shape":[1,1,1],"weights":[1],"means":[[1e300]],"std":[1e150]}`), 80.0)
	f.Add([]byte(`{"shape":[1,1,99999999],"weights":[1],"means":[[]],"std":[1]}`), 1.0)
	f.Add([]byte(`{"shape":null}`), 0.0)
	f.Fuzz(func(t *testing.T, b []byte, sigma float64) {
		g, err := sampler.ReadGMM(bytes.NewReader(b))
		if err != nil {
			return
		}
		text, err := json.Marshal(g)
		if err != nil {
			t.Fatalf("accepted but cannot be written: %v", err)
		}
		if _, err := sampler.ReadGMM(bytes.NewReader(text)); err != nil {
			t.Fatalf("accepted, but not after writing: %v\n%s", err, text)
		}
		x := make([]float64, len(g.Means[0]))
		g.Denoise(x, append([]float64(nil), g.Means[0]...), math.Abs(sigma))
	})
}
