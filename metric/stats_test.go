package metric_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
	"diffuse/metric"
)

// The files' distances were taken by pytorch-fid's code; 1e-9 as in TestGoldenFrechet.
func TestGoldenStats(t *testing.T) {
	read := func(name string) metric.Stats {
		t.Helper()
		return must(metric.ReadStats(golden.Path(t, "metrics", name)))(t)
	}
	a := read("stats_pytorch_fid_A.npz")
	want := results[map[string]float64](t, "stats_files")
	if len(want) != 3 {
		t.Errorf("%d distances recorded", len(want))
	}
	for key, w := range want {
		file, _, _ := strings.Cut(strings.TrimPrefix(key, "stats_pytorch_fid_A.npz vs "), " ")
		b := read(file)
		got := must(metric.FrechetStats(a, b))(t)
		if file == "stats_float32_B.npz" { // NumPy sums the trace of a float32 array in float32, which costs the peer 2e-7
			got += trace32(b.Gaussian) - trace64(b.Gaussian)
		}
		near(t, file, got, w, 1e-9, 0)
	}
	adm, edm := read("stats_adm_B.npz"), read("stats_edm_B.npz")
	if adm.Spatial == nil || len(adm.Spatial.Mean) != 16 || edm.Spatial != nil {
		t.Errorf("spatial statistics: %v in ADM's file, %v in EDM's", adm.Spatial, edm.Spatial)
	}
	if !slices.Equal(adm.Mean, edm.Mean) || !slices.Equal(adm.Cov, edm.Cov) || edm.N != 0 {
		t.Error("ADM's and EDM's files of one set differ")
	}
	// The set itself gives what NumPy's two-pass covariance gave.
	g := must(metric.Fit(open(t).set(t, "A")))(t)
	golden.Close(t, "mean of A", g.Mean, a.Mean, 1e-14)
	golden.Close(t, "covariance of A", g.Cov, a.Cov, 1e-14)
}

// trace32 is numpy.trace of a float32 matrix: eight running sums, joined in pairs.
func trace32(g metric.Gaussian) float64 {
	var r [8]float32
	for i := range g.Mean {
		r[i%8] += float32(g.Cov[i*len(g.Mean)+i])
	}
	return float64(((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7])))
}

func trace64(g metric.Gaussian) (s float64) {
	for i := range g.Mean {
		s += g.Cov[i*len(g.Mean)+i]
	}
	return s
}

func TestStatsRoundTrip(t *testing.T) {
	spatial := must(metric.Fit(random(2, 20, 3)))(t)
	s := metric.Stats{
		Gaussian:   must(metric.Fit(random(1, 30, 5)))(t),
		Provenance: metric.Provenance{Data: "fashion, test", Extractor: "fd-random/64", ExtractorHash: "0badcafe", Resize: "none"},
		Spatial:    &spatial,
	}
	dir := t.TempDir()
	npz, st := filepath.Join(dir, "a.npz"), filepath.Join(dir, "a.safetensors")
	if err := errors.Join(s.WriteNPZ(npz), s.WriteFile(st)); err != nil {
		t.Fatal(err)
	}
	full, bare := must(metric.ReadStats(st))(t), must(metric.ReadStats(npz))(t)
	if full.Provenance != s.Provenance || full.N != 30 {
		t.Errorf("safetensors: %+v of %d pictures", full.Provenance, full.N)
	}
	if bare.Provenance != (metric.Provenance{}) || bare.N != 0 {
		t.Errorf("npz: %+v of %d pictures", bare.Provenance, bare.N)
	}
	for name, got := range map[string]metric.Stats{"safetensors": full, "npz": bare} {
		if !slices.Equal(got.Mean, s.Mean) || !slices.Equal(got.Cov, s.Cov) || !slices.Equal(got.Spatial.Cov, spatial.Cov) {
			t.Errorf("%s: values changed", name)
		}
		if fd := must(metric.FrechetStats(got, s))(t); fd != 0 {
			t.Errorf("%s: distance to what was written: %g", name, fd)
		}
	}
	s.N = 1
	if s.WriteFile(st) == nil || s.WriteNPZ(npz) == nil {
		t.Error("statistics of one picture were written")
	}
}

func TestProvenance(t *testing.T) {
	p := metric.Provenance{Data: "x", Extractor: "inception-2015/2048", ExtractorHash: "aa", Resize: "tf1-bilinear"}
	for name, c := range map[string]struct {
		change func(q *metric.Provenance)
		says   string // "" = comparable
	}{
		"the same":         {func(*metric.Provenance) {}, ""},
		"other data":       {func(q *metric.Provenance) { q.Data = "y" }, ""},
		"unknown resize":   {func(q *metric.Provenance) { q.Resize = "" }, ""},
		"nothing known":    {func(q *metric.Provenance) { *q = metric.Provenance{} }, ""},
		"another resize":   {func(q *metric.Provenance) { q.Resize = "clean" }, `"tf1-bilinear" and "clean"`},
		"another layer":    {func(q *metric.Provenance) { q.Extractor = "inception-2015/768" }, "different extractors"},
		"other weights":    {func(q *metric.Provenance) { q.ExtractorHash = "ab" }, "different extractor weights"},
		"only the weights": {func(q *metric.Provenance) { *q = metric.Provenance{ExtractorHash: "ab"} }, "different extractor weights"},
	} {
		q := p
		c.change(&q)
		err := p.Comparable(q)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		g := diagonal([]float64{1, 2}, 0)
		if _, ferr := metric.FrechetStats(metric.Stats{Gaussian: g, Provenance: p}, metric.Stats{Gaussian: g, Provenance: q}); (ferr == nil) != (err == nil) {
			t.Errorf("%s: FrechetStats %v", name, ferr)
		}
	}
}

// badStats are files that are no statistics, by what the error has to say.
func badStats(t testing.TB) map[string][]byte {
	npz := func(arrays ...checkpoint.Array) []byte {
		var b bytes.Buffer
		z := checkpoint.NewNPZWriter(&b)
		for _, a := range arrays {
			if err := z.Add(a); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	array := func(name string, shape []int, v ...float64) checkpoint.Array {
		return checkpoint.Array{Name: name, Tensor: checkpoint.Float64(shape, v)}
	}
	mu := array("mu", []int{2}, 1, 2)
	nan := 0.0
	nan /= nan
	var one bytes.Buffer
	if err := checkpoint.Write(&one, &checkpoint.File{Meta: map[string]string{"pictures": "1"}, Tensors: map[string]*checkpoint.Tensor{
		"mu": mu.Tensor, "sigma": checkpoint.Float64([]int{2, 2}, make([]float64, 4))}}); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		`no tensor "sigma"`:     npz(mu),
		`no tensor "mu"`:        npz(checkpoint.Array{Name: "arr_0", Tensor: checkpoint.Uint8([]int{1, 1, 1, 3}, make([]byte, 3))}),
		"want d and d×d":        npz(mu, array("sigma", []int{3, 3}, make([]float64, 9)...)),
		"mean of column 1":      npz(array("mu", []int{2}, 1, nan), array("sigma", []int{2, 2}, 1, 0, 0, 1)),
		"want floats":           npz(mu, checkpoint.Array{Name: "sigma", Tensor: checkpoint.Uint8([]int{2, 2}, make([]byte, 4))}),
		`no tensor "sigma_s"`:   npz(mu, array("sigma", []int{2, 2}, 1, 0, 0, 1), array("mu_s", []int{1}, 0)),
		"Python pickle":         []byte("\x80\x04\x95\x00"),
		"empty or cut short":    {},
		`statistics of "1" pic`: one.Bytes(),
		"header":                []byte("no such thing at all"),
	}
}

// TestPickledStats reads EDM2's layout in protocols 2 and 5, the first with the covariance column by column, and a flat one of protocol 4. Mean and covariance
// are NumPy's of the same 50 rows.
func TestPickledStats(t *testing.T) {
	mean := []float64{0.005, 0.125, -0.045, 0.345, 0.215, 0.005}
	row := []float64{1.4298214285714288, 0.3399234693877552, 0.18645408163265306, -0.14079081632653062, 0.17492346938775508, -0.5000255102040816}
	for name, n := range map[string]int{"stats2.pkl": 50, "stats4.pkl": 0, "stats5.pkl": 50} {
		s, err := metric.ReadStats(golden.Path(t, "pickles", name))
		if err != nil {
			t.Error(err)
			continue
		}
		tol := 0.0
		if name == "stats4.pkl" {
			tol = 0x1p-25 // of its float32 mean
		}
		golden.Close(t, name+": mean", s.Mean, mean, tol)
		golden.Close(t, name+": covariance", s.Cov[:6], row, 0)
		if s.N != n || len(s.Cov) != 36 {
			t.Errorf("%s: %d pictures, %d covariances", name, s.N, len(s.Cov))
		}
	}
}

func TestReadStatsRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if _, err := metric.ReadStats(path); !errors.Is(err, fs.ErrNotExist) || strings.Count(err.Error(), path) != 1 {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := metric.ReadStats(t.TempDir()); err == nil {
		t.Error("a folder: not refused")
	}
	for says, b := range badStats(t) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := metric.ReadStats(path); err == nil || !strings.Contains(err.Error(), says) || strings.Count(err.Error(), path) > 2 {
			t.Errorf("want an error that says %q, got %v and %v", says, err, s)
		}
	}
}

func FuzzReadStats(f *testing.F) {
	for _, b := range badStats(f) {
		f.Add(b)
	}
	for _, name := range []string{"stats_float32_B.npz", "stats_adm_B.npz"} {
		b, err := os.ReadFile(golden.Path(f, "metrics", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, name := range []string{"stats2.pkl", "stats4.pkl", "stats5.pkl"} {
		b, err := os.ReadFile(golden.Path(f, "pickles", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	path := filepath.Join(f.TempDir(), "s")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := metric.ReadStats(path)
		if err == nil && (len(s.Cov) != len(s.Mean)*len(s.Mean) || s.Gaussian.Check() != nil) {
			t.Fatalf("bad statistics were let through: %v", s)
		}
	})
}

// TestStatsHeaderLength: the first bytes of a safetensors file are the length of its header, which may look like a pickle's or a zip
// archive's first bytes.
func TestStatsHeaderLength(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.safetensors")
	s := metric.Stats{Gaussian: metric.Gaussian{N: 2, Mean: []float64{1}, Cov: []float64{2}}}
	for _, start := range []string{"\x80\x04", "\x80\x05", "PK"} {
		found := false
		for n := 0; n < 1<<15 && !found; {
			s.Data = strings.Repeat("x", n)
			if err := s.WriteFile(path); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found = string(b[:2]) == start
			length := func(s string) int { return int(s[0]) | int(s[1])<<8 }
			n += max(1, length(start)-length(string(b))-8) // to a little before it, then step by step
		}
		if !found {
			t.Errorf("no header of length %q was made", start)
			continue
		}
		if got, err := metric.ReadStats(path); err != nil || got.Mean[0] != 1 {
			t.Errorf("a file that starts with %q: %v", start, err)
		}
	}
}
