package unet_test

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
	"diffuse/unet"
)

// TestGoldenSnapshots holds networks read from EDM's and SiD's own files to their denoised outputs, to 1e-5·max(1, max|D|), a tenth of the tolerance that came
// with the numbers; float16 weights to 1e-3, as said there.
func TestGoldenSnapshots(t *testing.T) {
	for file, want := range map[string]struct {
		d, config string
		tol       float64
	}{
		"snap_song_fp16/network-snapshot-000001.pkl": {"D", "song", 1e-5},
		"snap_adm_old/network-snapshot-000001.pkl":   {"D", "adm", 1e-5},
		"snap_sid/network-snapshot-000001.pkl":       {"D", "song", 1e-5},
		"snap_protocols/proto2.pkl":                  {"D", "song", 1e-5},
		"snap_protocols/proto5.pkl":                  {"D", "song", 1e-5},
		"snap_protocols/double.pkl":                  {"D", "song", 1e-5},
		"snap_protocols/half.pkl":                    {"D", "song", 1e-3},
		"snap_protocols/views.pkl":                   {"D_views", "song", 1e-5},
	} {
		m, err := unet.LoadModel(golden.Path(t, "edm", filepath.FromSlash(file)))
		if err != nil {
			t.Error(err)
			continue
		}
		if m.Config.ModelType != want.config || strings.Contains(file, "fp16") != strings.Contains(m.Description, "float16") {
			t.Errorf("%s: %s, %s", file, m.Config.ModelType, m.Description)
		}
		d, err := m.Denoiser(nil)
		if err != nil {
			t.Fatal(err)
		}
		c := golden.Open(t, "edm/"+filepath.Dir(file))
		x := image(c, "x")
		sigma, _ := c.Float64("sigma")
		y := d.Denoise(nil, x, sigma, unet.Inputs{LabelVectors: vectors(c, "class_labels")})
		v, _ := c.Float64(want.d)
		golden.Close(t, file, nchw(y), v, want.tol*max(1, golden.MaxAbs(v)))
	}
}

// TestGoldenTrainingState reads the network of a training state and compares its parameters with the sums that PyTorch wrote down.
func TestGoldenTrainingState(t *testing.T) {
	m, err := unet.LoadModel(golden.Path(t, "edm", "state_edm", "training-state-000001.pt"))
	if err != nil {
		t.Fatal(err)
	}
	var j struct{ Checks map[string][2]float64 }
	golden.Open(t, "edm/state_edm").JSON("case.json", &j)
	seen := 0
	for name, p := range m.Net.Params() {
		want, ok := j.Checks["net.model."+name]
		if !ok {
			t.Errorf("no sums of %s", name)
			continue
		}
		seen++
		var sum, square float64
		for _, v := range p.Data {
			sum += float64(v)
			square += float64(v) * float64(v)
		}
		l2 := math.Sqrt(square)
		golden.Close(t, name, []float64{sum, l2}, want[:], 2e-8*(1+l2*math.Sqrt(float64(p.Len()))))
	}
	if seen < 100 {
		t.Errorf("%d parameters", seen)
	}
}

// edmAttributes are those that EDM's constructors set.
var edmAttributes = map[string]map[string]any{
	"EDMPrecond":   {"sigma_min": 0.0, "sigma_max": math.Inf(1), "sigma_data": 0.5},
	"VPPrecond":    {"beta_d": 19.9, "beta_min": 0.1, "M": 1000.0, "epsilon_t": 1e-5, "sigma_min": 0.0009765625, "sigma_max": 152.0},
	"VEPrecond":    {"sigma_min": 0.02, "sigma_max": 100.0},
	"iDDPMPrecond": {"C_1": 0.001, "C_2": 0.008, "M": 1000.0},
}

type edmFile struct {
	Class  string         `json:"class_name"`
	Kwargs map[string]any `json:"init_kwargs"`
}

// TestImportedNetworks packs the golden networks as EDM would and reads them back: all architectures and preconditionings.
func TestImportedNetworks(t *testing.T) {
	for _, name := range edmNets {
		c := golden.Open(t, "edm/"+name)
		var j edmFile
		c.JSON("config.json", &j)
		path := filepath.Join(t.TempDir(), name+".pkl")
		golden.WriteEDM(t, path, j.Class, edmAttributes[j.Class], j.Kwargs, c.Weights())
		m, err := unet.LoadModel(path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		d, err := m.Denoiser(nil)
		if err != nil {
			t.Fatal(err)
		}
		sigma, _ := c.Float64("sigma")
		y, f := d.Raw(image(c, "x"), sigma, unet.Inputs{LabelVectors: vectors(c, "class_labels"), Augment: vectors(c, "augment_labels")})
		want, _ := c.Float64("D")
		golden.Close(t, name+": D", nchw(y), want, 1e-5*max(1, golden.MaxAbs(want)))
		want, _ = c.Float64("F")
		golden.Close(t, name+": F", nchw(f), want, 1e-5*(1+golden.MaxAbs(want)))
	}
}

// TestReadEDMRefuses: what is not exactly an EDM network is refused by name.
func TestReadEDMRefuses(t *testing.T) {
	c := golden.Open(t, "edm/net_vp")
	weights := c.Weights()
	var j edmFile
	c.JSON("config.json", &j)
	for want, spoil := range map[string]func(f *edmFile, attributes map[string]any, w map[string]*checkpoint.Tensor){
		"class Precon2, want one of":    func(f *edmFile, _ map[string]any, _ map[string]*checkpoint.Tensor) { f.Class = "Precon2" },
		"a network of EDM2":             func(f *edmFile, _ map[string]any, _ map[string]*checkpoint.Tensor) { f.Class = "Precond" },
		"beta_d = 20; built in is 19.9": func(_ *edmFile, a map[string]any, _ map[string]*checkpoint.Tensor) { a["beta_d"] = 20.0 },
		"M = <nil>":                     func(_ *edmFile, a map[string]any, _ map[string]*checkpoint.Tensor) { delete(a, "M") },
		`unknown field "colour"`:        func(f *edmFile, _ map[string]any, _ map[string]*checkpoint.Tensor) { f.Kwargs["colour"] = 1.0 },
		`model_type "DiT"`:              func(f *edmFile, _ map[string]any, _ map[string]*checkpoint.Tensor) { f.Kwargs["model_type"] = "DiT" },
		"num_blocks is 1000":            func(f *edmFile, _ map[string]any, _ map[string]*checkpoint.Tensor) { f.Kwargs["num_blocks"] = 1000.0 },
		"is missing":                    func(f *edmFile, _ map[string]any, _ map[string]*checkpoint.Tensor) { f.Kwargs["num_blocks"] = 3.0 },
		"want [": func(f *edmFile, _ map[string]any, _ map[string]*checkpoint.Tensor) {
			f.Kwargs["model_channels"] = 16384.0
		},
		"is not part of this network": func(_ *edmFile, _ map[string]any, w map[string]*checkpoint.Tensor) { w["more"] = w["map_layer0.bias"] },
	} {
		f, attributes, w := j, maps.Clone(edmAttributes["VPPrecond"]), maps.Clone(weights)
		f.Kwargs = maps.Clone(j.Kwargs)
		spoil(&f, attributes, w)
		path := filepath.Join(t.TempDir(), "x.pkl")
		golden.WriteEDM(t, path, f.Class, attributes, f.Kwargs, w)
		if _, err := unet.LoadModel(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v, want an error that says %q", err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "guided.pt")
	golden.WriteTorch(t, path, map[string]*checkpoint.Tensor{"input_blocks.0.0.weight": checkpoint.Float32([]int{1}, []float32{1})})
	if _, err := unet.LoadModel(path); err == nil || !strings.Contains(err.Error(), "guided-diffusion") {
		t.Errorf("a state dict of guided-diffusion: %v", err)
	}
}

// FuzzReadEDM mutates snapshots past the reader of pickles.
func FuzzReadEDM(f *testing.F) {
	for _, name := range []string{"snap_protocols/half.pkl", "state_edm/training-state-000001.pt"} {
		b, err := os.ReadFile(golden.Path(f, "edm", filepath.FromSlash(name)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	path := filepath.Join(f.TempDir(), "x")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := unet.LoadModel(path)
		if err != nil {
			return
		}
		if err := m.Config.Validate(); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Denoiser(nil); err != nil {
			t.Fatal(err)
		}
	})
}
