package checkpoint_test

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
)

// pickleNames lists the files of a case.
func pickleNames(t *testing.T, name string) []string {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"*.pkl", "*.pt"} {
		found, err := filepath.Glob(golden.Path(t, "edm", name, pattern))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		t.Fatalf("no pickles in %s", name)
	}
	return paths
}

// openPickle opens a pickle until the test ends, mapped or through a reader.
func openPickle(t *testing.T, path string, mapped bool) *checkpoint.Pickle {
	t.Helper()
	var p *checkpoint.Pickle
	var err error
	if mapped {
		p, err = checkpoint.OpenPickle(path)
	} else {
		r, openErr := os.Open(path)
		if openErr != nil {
			t.Fatal(openErr)
		}
		t.Cleanup(func() { r.Close() })
		info, _ := r.Stat()
		p, err = checkpoint.ReadPickle(r, info.Size())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestGoldenPickleSums holds the sum and norm of every tensor of EDM's and SiD's snapshots and training states to those that PyTorch
// computed in float64, which were written with nine digits.
func TestGoldenPickleSums(t *testing.T) {
	for name, prefix := range map[string]string{"snap_song_fp16": "ema.", "snap_adm_old": "ema.", "snap_sid": "ema.", "state_edm": ""} {
		for _, mapped := range []bool{true, false} {
			var j struct{ Checks map[string][2]float64 }
			golden.Open(t, "edm/"+name).JSON("case.json", &j)
			f, err := openPickle(t, pickleNames(t, name)[0], mapped).File()
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range j.Checks {
				x, err := f.Tensor(prefix + strings.Replace(key, "optimizer_state.", "optimizer_state.state.", 1))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				v, err := x.Float64()
				if err != nil {
					t.Fatal(err)
				}
				var sum, square float64
				for _, x := range v {
					sum += x
					square += x * x
				}
				l2 := math.Sqrt(square)
				golden.Close(t, name+" "+key, []float64{sum, l2}, want[:], 2e-8*(1+l2*math.Sqrt(float64(len(v)))))
			}
			if len(j.Checks) < 50 || len(f.Names) < len(j.Checks) {
				t.Errorf("%s: %d tensors, %d recorded", name, len(f.Names), len(j.Checks))
			}
		}
	}
}

// TestGoldenPickleProtocols compares every value of one network in five pickles with the formula it was made by: float32 exactly, float16 to half a unit
// of its 11 bits.
func TestGoldenPickleProtocols(t *testing.T) {
	var j struct{ Formula map[string]golden.Formula }
	golden.Open(t, "edm/snap_protocols").JSON("case.json", &j)
	paths := pickleNames(t, "snap_protocols")
	if len(paths) != 5 || len(j.Formula) < 50 {
		t.Fatalf("%d pickles and %d tensors", len(paths), len(j.Formula))
	}
	for _, path := range paths {
		base := filepath.Base(path)
		if base == "views.pkl" {
			continue // other values: see the networks' outputs in package unet
		}
		for _, mapped := range []bool{true, false} {
			f, err := openPickle(t, path, mapped).File()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range slices.Sorted(maps.Keys(j.Formula)) {
				x, err := f.Tensor("ema." + name)
				if err != nil {
					t.Errorf("%s: %v", base, err)
					continue
				}
				want := j.Formula[name]
				if !slices.Equal(x.Shape, want.Shape) {
					t.Errorf("%s: %s has shape %v, want %v", base, name, x.Shape, want.Shape)
					continue
				}
				got, err := x.Float32()
				if err != nil {
					t.Fatal(err)
				}
				values, tol := want.Values(), 0.0
				if base == "half.pkl" {
					tol = golden.MaxAbs(values) / 2048
				}
				golden.Close(t, base+" "+name, got, values, tol)
			}
		}
	}
}

// TestViews checks the tensors of views.pkl: map_layer1.weight is a transposed view, map_layer1.bias starts at element 7 of its storage, and
// map_layer0.bias is the same object as map_layer1.bias.
func TestViews(t *testing.T) {
	var j struct{ Formula map[string]golden.Formula }
	golden.Open(t, "edm/snap_protocols").JSON("case.json", &j)
	j.Formula["model.map_layer0.bias"] = j.Formula["model.map_layer1.bias"]
	for _, mapped := range []bool{true, false} {
		f, err := openPickle(t, golden.Path(t, "edm", "snap_protocols", "views.pkl"), mapped).File()
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range j.Formula {
			x, err := f.Tensor("ema." + name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := x.Float32()
			if err != nil {
				t.Fatal(err)
			}
			golden.Close(t, name, got, want.Values(), 0)
		}
	}
}

// TestRejectedPickles: every hostile file is refused with a reason, and the class it names is in it.
func TestRejectedPickles(t *testing.T) {
	want := map[string]string{
		"deep_stack.pkl": "more than 200 deep", "empty.pkl": "cut short", "eval.pkl": "__builtin__.eval", "extra_key.pkl": "subprocess.getoutput",
		"getattr.pkl": "builtins.getattr", "huge_length.pkl": "4611686018427387904 bytes", "not_a_pickle.pkl": "zip", "os_system.pkl": "posix.system",
		"truncated.pkl": "EOF",
	}
	paths := pickleNames(t, "reject_pickles")
	if len(paths) != len(want) {
		t.Fatalf("%d files, want %d", len(paths), len(want))
	}
	for _, path := range paths {
		p, err := checkpoint.OpenPickle(path)
		if err == nil {
			p.Close()
			t.Errorf("%s was read", path)
			continue
		}
		if base := filepath.Base(path); !strings.Contains(err.Error(), want[base]) || !strings.Contains(err.Error(), base) {
			t.Errorf("%s: %v; want a word about %q", base, err, want[base])
		}
	}
}
