package checkpoint_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
)

// TestGoldenWeightFolders opens one network that diffusers saved as .bin and in four shards of safetensors: the same tensors, the same values.
func TestGoldenWeightFolders(t *testing.T) {
	var values [2]map[string][]float32
	for i, name := range []string{"store_bin", "store_sharded"} {
		f, err := checkpoint.OpenWeightFolder(golden.Path(t, "diffusers", name), "diffusion_pytorch_model")
		if err != nil {
			t.Fatal(err)
		}
		values[i] = map[string][]float32{}
		best, err := checkpoint.BestWeights(golden.Path(t, "diffusers", name), "diffusion_pytorch_model")
		if err != nil {
			t.Fatal(err)
		}
		files, err := checkpoint.WeightFiles(best)
		if err != nil || len(files) != 1+4*i {
			t.Errorf("%s: files %q, %v", name, files, err)
		}
		n := 0
		for key, x := range f.Tensors {
			if values[i][key], err = x.Float32(); err != nil {
				t.Fatal(err)
			}
			n += x.Len()
		}
		if n != 64483 || len(f.Names) != len(f.Tensors) {
			t.Errorf("%s: %d parameters, %d names", name, n, len(f.Names))
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := f.Tensors["conv_in.weight"].Float32(); err == nil {
			t.Errorf("%s: decoding after Close", name)
		}
	}
	if !maps.EqualFunc(values[0], values[1], slices.Equal[[]float32]) {
		t.Error("the two differ")
	}
}

// weightFolder makes a folder of files; a tensor's value is a number of the file that it is in.
func weightFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasSuffix(name, ".json") {
			err = os.WriteFile(path, []byte(files[name]), 0o666)
		} else {
			x := map[string]*checkpoint.Tensor{}
			for tensor := range strings.FieldsSeq(files[name]) {
				x[tensor] = checkpoint.Float32([]int{1}, []float32{float32(i)})
			}
			if strings.HasSuffix(name, ".bin") {
				golden.WriteTorch(t, path, x)
			} else {
				err = checkpoint.WriteFile(path, &checkpoint.File{Tensors: x})
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestWeightFolderChoice: safetensors before .bin, full precision before variants, shards like whole files.
func TestWeightFolderChoice(t *testing.T) {
	files := map[string]string{
		"m.safetensors": "a", "m.safetensors.index.json": `{"weight_map":{"b":"s1.safetensors"}}`, "m.bin": "c",
		"m.bin.index.json": `{"weight_map":{"d":"s2.bin"}}`, "m.fp16.safetensors": "e", "m.safetensors.index.fp16.json": `{"weight_map":{"f":"s3.safetensors"}}`,
		"m.fp16.bin": "g", "s1.safetensors": "b", "s2.bin": "d", "s3.safetensors": "f", "m.txt.json": "{}", "other.safetensors": "h",
	}
	for _, want := range []struct{ name, tensor string }{
		{"m.safetensors", "a"}, {"m.safetensors.index.json", "b"}, {"m.bin", "c"}, {"m.bin.index.json", "d"},
		{"m.fp16.safetensors", "e"}, {"m.safetensors.index.fp16.json", "f"}, {"m.fp16.bin", "g"},
	} {
		f, err := checkpoint.OpenWeightFolder(weightFolder(t, files), "m")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(f.Names, []string{want.tensor}) {
			t.Errorf("%q, want %s of %s", f.Names, want.tensor, want.name)
		}
		f.Close()
		delete(files, want.name)
	}
	if _, err := checkpoint.OpenWeightFolder(weightFolder(t, files), "m"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder without weights: %v", err)
	}
	if _, err := checkpoint.OpenWeightFolder(filepath.Join(t.TempDir(), "none"), "m"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// TestHostileIndexes: indexes that lie about tensors or point elsewhere.
func TestHostileIndexes(t *testing.T) {
	for want, index := range map[string]string{
		"which is no file of the folder": `{"weight_map":{"a":"../one.safetensors"}}`,
		`in "/etc/passwd", which is no`:  `{"weight_map":{"a":"/etc/passwd"}}`,
		`in "sub/x.safetensors", which`:  `{"weight_map":{"a":"sub/x.safetensors"}}`,
		`in "..", which`:                 `{"weight_map":{"a":".."}}`,
		`in "", which`:                   `{"weight_map":{"a":""}}`,
		"is not in one.safetensors":      `{"weight_map":{"a":"one.safetensors","b":"one.safetensors"}}`,
		"where the index does not have":  `{"weight_map":{"b":"two.safetensors"}}`,
		"no such file":                   `{"weight_map":{"a":"three.safetensors"}}`,
		"no weight_map":                  `{}`,
		"index of shards":                `{"weight_map":[]}`,
	} {
		dir := weightFolder(t, map[string]string{"one.safetensors": "a", "two.safetensors": "b c", "sub/x.safetensors": "a", "m.safetensors.index.json": index})
		if f, err := checkpoint.OpenWeightFolder(dir, "m"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v and %v, want an error that says %q", index, f, err, want)
		}
	}
}
