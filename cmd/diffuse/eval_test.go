package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/dataset"
	"diffuse/imageio"
	"diffuse/internal/golden"
	"diffuse/metric"
)

// evaluate runs "diffuse eval" with --json.
func evaluate(t *testing.T, args ...string) evalReport {
	t.Helper()
	var out, errs bytes.Buffer
	if err := run(context.Background(), append([]string{"eval", "--json", "-q"}, args...), &out, &errs); err != nil {
		t.Fatalf("eval %v: %v\n%s", args, err, &errs)
	}
	var r evalReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, &out)
	}
	return r
}

// refused runs "diffuse eval", which must fail with an error that contains want.
func refused(t *testing.T, want string, args ...string) {
	t.Helper()
	if err := run(context.Background(), append([]string{"eval"}, args...), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("eval %v: %v, want an error that contains %q", args, err, want)
	}
}

func TestMatchClasses(t *testing.T) {
	for _, c := range []struct {
		from, to []string
		want     []int
		byNumber bool
	}{
		{[]string{"bag", "dress", "T_Shirt"}, []string{"t-shirt", "dress", "bag"}, []int{2, 1, 0}, false},
		{[]string{"dress", "hat"}, []string{"t-shirt", "dress"}, []int{1, -1}, false},
		{[]string{"0", "1", "2"}, []string{"a", "b"}, []int{0, 1, -1}, true},
		{[]string{"b", "a"}, []string{"0", "1"}, []int{0, 1}, true},
		{[]string{"0", "1"}, []string{"1", "2"}, []int{-1, 0}, false},
		{[]string{"cat"}, []string{"dog"}, []int{-1}, false},
	} {
		if got, byNumber := matchClasses(c.from, c.to); !slices.Equal(got, c.want) || byNumber != c.byNumber {
			t.Errorf("%v in %v: %v, %v; want %v, %v", c.from, c.to, got, byNumber, c.want, c.byNumber)
		}
	}
}

// TestAccuracyByName sorts pictures into folders by what the classifier takes them for: folders are in the order of their names, not of
// the classifier's classes, and all are right all the same.
func TestAccuracyByName(t *testing.T) {
	k, _, err := fashionFeatures()
	if err != nil {
		t.Fatal(err)
	}
	dir, r, seen := t.TempDir(), rand.New(rand.NewPCG(1, 2)), map[int]bool{}
	for i := range 40 {
		m := imageio.New(28, 28, 1)
		// A bright rectangle on black, of every size and place.
		y, x := r.IntN(14), r.IntN(14)
		h, w, v := 4+r.IntN(28-y-4), 4+r.IntN(28-x-4), uint8(80+r.IntN(176))
		for j := range m.Pix {
			if j/28 >= y && j/28 < y+h && j%28 >= x && j%28 < x+w {
				m.Pix[j] = v
			}
		}
		guess, err := k.Classify(make([]float64, k.Dim()), []imageio.Image{m})
		if err != nil {
			t.Fatal(err)
		}
		seen[guess[0]] = true
		folder := filepath.Join(dir, k.Classes[guess[0]])
		if err := os.MkdirAll(folder, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := imageio.WritePNG(filepath.Join(folder, fmt.Sprint(i, ".png")), m, nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) < 2 {
		t.Fatal("all pictures are of one class")
	}
	if got := evaluate(t, dir, "--ref", dir).Metrics["accuracy"]; got.Value != 1 || got.How != "40 of 40 pictures" {
		t.Errorf("accuracy %+v, want 1", got)
	}
	if err := os.Mkdir(filepath.Join(dir, "hat"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := imageio.WritePNG(filepath.Join(dir, "hat", "1.png"), imageio.New(28, 28, 1), nil); err != nil {
		t.Fatal(err)
	}
	refused(t, "class hat", dir, "--ref", dir, "--metrics", "accuracy")
}

// TestExtractKeeps: where only the distance is wanted no rows stay in memory, and the Gaussian is that of the rows.
func TestExtractKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.npz")
	pix := make([]uint8, 300*8*8)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range pix {
		pix[i] = uint8(r.Uint32())
	}
	if err := checkpoint.WriteNPZ(path, checkpoint.Array{Name: "arr_0", Tensor: checkpoint.Uint8([]int{300, 8, 8, 1}, pix)}); err != nil {
		t.Fatal(err)
	}
	u := &ui{stdout: io.Discard, stderr: io.Discard}
	set, err := openStored(u, path, "", 0, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	random, err := metric.NewRandom(1)
	if err != nil {
		t.Fatal(err)
	}
	e := &extractor{Extractor: random, batch: 7}
	lean, err := extract(context.Background(), u, set, e, kept{gaussian: true})
	if err != nil {
		t.Fatal(err)
	}
	full, err := extract(context.Background(), u, set, e, kept{rows: true})
	if err != nil {
		t.Fatal(err)
	}
	if lean.N != 300 || lean.X != nil || lean.pixels != nil {
		t.Errorf("%d pictures leave %d values and %d pixels", lean.N, len(lean.X), len(lean.pixels))
	}
	want, err := metric.Fit(full.Features)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(lean.gaussian.Cov, want.Cov) || !slices.Equal(lean.gaussian.Mean, want.Mean) {
		t.Error("the Gaussian is not that of the rows")
	}
}

// TestKIDAsPeers: mean and deviation over the subsets that torch-fidelity draws.
func TestKIDAsPeers(t *testing.T) {
	random, err := metric.NewRandom(1)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	set := func(n int) *featureSet {
		x := make([]float64, 3*n)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		return &featureSet{Features: metric.Features{N: n, D: 3, X: x}}
	}
	v := &evaluation{settings: evalSettings{subsets: 5, subsetSize: 20}, e: &extractor{Extractor: random}, real: set(40)}
	m := &measurement{evaluation: v, generated: set(30)}
	m.report.Metrics = map[string]measured{}
	if err := m.kid(context.Background(), &ui{stderr: io.Discard}); err != nil {
		t.Fatal(err)
	}
	in1, in2, err := metric.KIDDrawsNumPy(30, 40, 20, 5, 2020)
	if err != nil {
		t.Fatal(err)
	}
	want, err := metric.KIDSubsets(t.Context(), m.generated.Features, m.real.Features, in1, in2, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := m.report.Metrics["kid-random"]
	if !(math.Abs(got.Value-want.Mean) < 1e-15) || !(math.Abs(got.Std-want.Std) < 1e-15) {
		t.Errorf("%g ± %g, want %g ± %g", got.Value, got.Std, want.Mean, want.Std)
	}
}

// TestReferenceFiles: ADM's files hold statistics of Inception and pictures; other features are taken from the pictures. EDM2's pickles are
// called what they are.
func TestReferenceFiles(t *testing.T) {
	dir := t.TempDir()
	adm := filepath.Join(dir, "adm.npz")
	pix := make([]uint8, 8*4*4)
	for i := range pix {
		pix[i] = uint8(i)
	}
	err := checkpoint.WriteNPZ(adm,
		checkpoint.Array{Name: "arr_0", Tensor: checkpoint.Uint8([]int{8, 4, 4, 1}, pix)},
		checkpoint.Array{Name: "mu", Tensor: checkpoint.Float64([]int{2}, []float64{0, 0})},
		checkpoint.Array{Name: "sigma", Tensor: checkpoint.Float64([]int{2, 2}, []float64{1, 0, 0, 1})})
	if err != nil {
		t.Fatal(err)
	}
	r := evaluate(t, adm, "--ref", adm, "--features", "random")
	if v, ok := r.Metrics["fd-random"]; !ok || v.Value != 0 || r.RefPictures != 8 || r.Metrics["precision"].Value != 1 {
		t.Errorf("against its own pictures: %+v", r)
	}
	pickle := filepath.Join(dir, "stats.pkl")
	if err := os.WriteFile(pickle, []byte("\x80\x05\x95 and so on"), 0o666); err != nil {
		t.Fatal(err)
	}
	refused(t, "Python pickle: ", adm, "--ref", pickle)
}

// TestEvalInterrupted: a cancelled measurement ends as interrupted, without results and without a file.
func TestEvalInterrupted(t *testing.T) {
	dir := t.TempDir()
	npz, stats := filepath.Join(dir, "x.npz"), filepath.Join(dir, "stats.npz")
	if err := checkpoint.WriteNPZ(npz, checkpoint.Array{Name: "arr_0", Tensor: checkpoint.Uint8([]int{4, 1, 1, 1}, []uint8{1, 2, 3, 4})}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range [][]string{{"--ref", npz}, {"--make-ref", stats}} {
		var out bytes.Buffer
		err := run(ctx, append([]string{"eval", npz}, args...), &out, io.Discard)
		if code := complain(io.Discard, err); code != 130 || out.Len() > 0 {
			t.Errorf("%v: exit code %d (%v), results %q", args, code, err, &out)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%v is left, %v", files, err)
	}
}

// TestEvalInception runs the whole way with the goldens' formula weights, in half precision to save space, on four of their pictures: two against
// two. Features are within 1e-4 of the peers' in single precision (package metric's own test); rounding weights to 11 bits moves the distance by
// less than the tolerance.
func TestEvalInception(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 24 million weights three times")
	}
	dir := t.TempDir()
	config := ownConfig(t)
	weights := filepath.Join(dir, "inception.safetensors")
	f := &checkpoint.File{Tensors: golden.InceptionWeights(t)}
	for name, x := range f.Tensors {
		var err error
		if f.Tensors[name], err = x.As(checkpoint.F16); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkpoint.WriteFile(weights, f); err != nil {
		t.Fatal(err)
	}
	sides := [2]string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	for i := range 4 {
		name := fmt.Sprintf("a32_%d.png", i)
		b, err := os.ReadFile(golden.Path(t, "metrics", name))
		if err == nil {
			err = os.MkdirAll(sides[i/2], 0o777)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(sides[i/2], name), b, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r := evaluate(t, sides[0], "--ref", sides[1], "--inception", weights, "--metrics", "fid,kid")
	x, err := golden.Tensors(t, golden.Path(t, "metrics", "inception.safetensors"))["torch_fidelity.a32.2048"].Float64()
	if err != nil {
		t.Fatal(err)
	}
	a, b := metric.Features{N: 2, D: 2048, X: x[:2*2048]}, metric.Features{N: 2, D: 2048, X: x[2*2048:]}
	fid, err := metric.FrechetFeatures(a, b)
	if err != nil {
		t.Fatal(err)
	}
	kid, err := metric.KID(a, b)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"fid": fid, "kid": kid} {
		got := r.Metrics[name].Value
		t.Logf("%s: %g, with the peers' features %g", name, got, want)
		if !(math.Abs(got-want) <= 0.02*math.Abs(want)) {
			t.Errorf("%s is %g, want %g within 2%%", name, got, want)
		}
	}
	if r.Features != "inception-2048/torch_fidelity" || len(r.FeaturesSHA) != 64 {
		t.Errorf("features %s of sha256 %s", r.Features, r.FeaturesSHA)
	}

	// The weights are found again, until they are gone.
	if again := evaluate(t, sides[0], "--ref", sides[1], "--features", "inception", "--metrics", "fid"); again.Metrics["fid"] != r.Metrics["fid"] || again.FeaturesSHA != r.FeaturesSHA {
		t.Errorf("with the weights remembered: %+v", again)
	}
	stats := filepath.Join(dir, "stats.safetensors")
	args := []string{"eval", "-q", sides[1], "--make-ref", stats, "--inception", weights, "--features", "inception-64/clean_fid"}
	if err := run(context.Background(), args, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	refused(t, `"torch_fidelity" and "clean_fid"`, sides[0], "--ref", stats, "--inception", weights, "--features", "inception-64")

	os.Remove(weights)
	refused(t, "the Inception weights remembered from an earlier --inception: ", sides[0], "--ref", sides[1], "--features", "inception")
	if err := os.WriteFile(config, []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	refused(t, "settings in "+config, sides[0], "--ref", sides[1], "--features", "inception")
}

// ownConfig gives the test a configuration and a cache folder of its own and returns the path of the settings.
func ownConfig(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "AppData", "LocalAppData"} {
		t.Setenv(name, t.TempDir())
	}
	path, err := configPath()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
