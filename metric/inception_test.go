package metric_test

import (
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"diffuse/checkpoint"
	"diffuse/imageio"
	"diffuse/internal/golden"
	"diffuse/metric"
)

var (
	netOnce sync.Once
	net     *metric.Inception
)

// formulaNet returns the network with those weights.
func formulaNet(t testing.TB) *metric.Inception {
	t.Helper()
	weights := golden.InceptionWeights(t)
	netOnce.Do(func() {
		weights["Mixed_5b.branch1x1.bn.num_batches_tracked"] = checkpoint.Int64([]int{}, []int64{0}) // ignored
		var err error
		if net, err = metric.NewInception(weights); err != nil {
			t.Fatal(err)
		}
	})
	return net
}

func TestFormulaWeights(t *testing.T) {
	names := golden.ReadInceptionNames(t)
	if names.Count != len(names.Tensors) || len(names.FirstValues) != 6 {
		t.Fatalf("%d names, first values of %d", len(names.Tensors), len(names.FirstValues))
	}
	for _, x := range names.Tensors {
		for i, want := range names.FirstValues[x.Name] {
			if got := golden.InceptionFormula(x.Name, x.Shape, 4)[i]; float64(got) != want {
				t.Errorf("%s: value %d is %.9g, want %.9g", x.Name, i, got, want)
			}
		}
	}
}

// pictureGroups are the recorded pictures by size; the features are recorded group by group.
var pictureGroups = []struct {
	name string
	n    int
}{{"a32", 4}, {"b64x48", 2}, {"c299", 1}, {"d400x350", 1}}

func pictures(t testing.TB, group string, n int) []imageio.Image {
	t.Helper()
	out := make([]imageio.Image, n)
	for i := range out {
		var err error
		if out[i], err = imageio.DecodeFile(golden.Path(t, "metrics", fmt.Sprintf("%s_%d.png", group, i)), 0); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// prepared returns the pictures as the network reads them.
func prepared(t testing.TB, door metric.FrontDoor, ms []imageio.Image) []float32 {
	t.Helper()
	const size = metric.InceptionSize * metric.InceptionSize * 3
	x := make([]float32, len(ms)*size)
	for i, m := range ms {
		if err := door.Prepare(x[i*size:(i+1)*size], m); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

var allLayers = []metric.InceptionLayer{metric.Inception64, metric.Inception192, metric.Inception768, metric.Inception2048,
	metric.InceptionLogitsUnbiased, metric.InceptionLogits}

// TestGoldenInception compares every layer with the peers' in float64 arithmetic. The tolerance, 1e-4 of the layer's maximum and 1e-5
// of it in the mean, is the goldens'; the peers' own float32 runs differ by 7e-7, and the mistakes listed there by 6e-4 and more.
func TestGoldenInception(t *testing.T) {
	recorded := golden.Tensors(t, golden.Path(t, "metrics", "inception.safetensors"))
	for _, door := range metric.FrontDoors() {
		for _, g := range pictureGroups {
			n := g.n
			if testing.Short() {
				if n = 1; g.name != "a32" {
					continue
				}
			}
			got := formulaNet(t).Layers(prepared(t, door, pictures(t, g.name, n)), n, allLayers...)
			worst := ""
			for i, l := range allLayers {
				name := fmt.Sprintf("%s.%s.%s", door, g.name, l)
				x := recorded[name]
				if x == nil && door == metric.PytorchFID && l >= metric.InceptionLogitsUnbiased {
					continue // it has no logits
				}
				if x == nil {
					t.Fatalf("no tensor %s", name)
				}
				if x.Shape[0] != g.n || x.Shape[1] != l.Dim() {
					t.Fatalf("%s: shape %v", name, x.Shape)
				}
				want, err := x.Float64()
				if err != nil {
					t.Fatal(err)
				}
				scale := golden.MaxAbs(want)
				want = want[:n*l.Dim()]
				golden.Close(t, name, got[i], want, 1e-4*scale)
				most, mean := 0.0, 0.0
				for j, v := range want {
					d := math.Abs(got[i][j] - v)
					most, mean = max(most, d), mean+d/float64(len(want))
				}
				if !(mean <= 1e-5*scale) {
					t.Errorf("%s: mean error %.3g of the maximum, want at most 1e-5", name, mean/scale)
				}
				worst += fmt.Sprintf("  %s %.1e (mean %.1e)", l, most/scale, mean/scale)
			}
			t.Logf("%s.%s: errors as parts of the maximum:%s", door, g.name, worst)
		}
	}
}

// TestInceptionBytes: a picture's features are the same alone and in a batch, on one thread and on several, and through the extractor.
func TestInceptionBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("several passes")
	}
	ms := pictures(t, "a32", 3)
	x := prepared(t, metric.TorchFidelity, ms)
	want := formulaNet(t).Layers(x, 3, allLayers...)
	old := runtime.GOMAXPROCS(1)
	alone := formulaNet(t).Layers(x[len(x)/3*2:], 1, allLayers...)
	runtime.GOMAXPROCS(old)
	for i, l := range allLayers {
		if !slices.Equal(alone[i], want[i][2*l.Dim():]) {
			t.Errorf("layer %s: picture 2 alone on one thread differs from the same in a batch of 3", l)
		}
	}
	ex, err := formulaNet(t).Extractor("inception-192/torch_fidelity")
	if err != nil {
		t.Fatal(err)
	}
	many := slices.Concat(ms, ms, ms, ms[:1]) // two batches
	got := make([]float64, len(many)*ex.Dim())
	if err := ex.Features(got, many); err != nil {
		t.Fatal(err)
	}
	if rows := slices.Concat(want[1], want[1], want[1], want[1][:192]); !slices.Equal(got, rows) {
		t.Error("the extractor's features of ten pictures differ from those of three")
	}
}

func TestExtractor(t *testing.T) {
	ex, err := formulaNet(t).Extractor("inception-64/clean_fid")
	if err != nil {
		t.Fatal(err)
	}
	if ex.Name() != "inception-64/clean_fid" || ex.Dim() != 64 {
		t.Fatalf("%s, %d", ex.Name(), ex.Dim())
	}
	grey := imageio.New(5, 9, 1)
	for i := range grey.Pix {
		grey.Pix[i] = uint8(5 * i)
	}
	dst := make([]float64, 2*64)
	if err := ex.Features(dst, []imageio.Image{grey, grey.Convert(3)}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(dst[:64], dst[64:]) || dst[0] == 0 && dst[1] == 0 && dst[2] == 0 {
		t.Errorf("a grey picture gives %v…, the same in three channels %v…", dst[:3], dst[64:67])
	}
	if err := ex.Features(dst, []imageio.Image{grey, {H: 2, W: 2, C: 3, Pix: make([]uint8, 11)}}); err == nil || !strings.Contains(err.Error(), "picture 1: 11 bytes") {
		t.Errorf("too few bytes: %v", err)
	}
	if err := ex.Features(dst, []imageio.Image{grey}); err == nil || !strings.Contains(err.Error(), "room for 128 values") {
		t.Errorf("too much room: %v", err)
	}
	if _, err := formulaNet(t).Extractor("inception-2048"); err == nil || !strings.Contains(err.Error(), "inception-2048/torch_fidelity") {
		t.Errorf("unknown extractor: %v", err)
	}
	if err := metric.FrontDoor("pil").Prepare(make([]float32, 3*299*299), grey); err == nil || !strings.Contains(err.Error(), "torch_fidelity, pytorch_fid, clean_fid") {
		t.Errorf("unknown front door: %v", err)
	}
}

// TestInceptionFromTorch reads the weights from a file of PyTorch's old format, as pt_inception-2015-12-05-6726825d.pth is one.
func TestInceptionFromTorch(t *testing.T) {
	if testing.Short() {
		t.Skip("writes and reads 24 million weights")
	}
	path := filepath.Join(t.TempDir(), "pt_inception")
	golden.WriteTorch(t, path, golden.InceptionWeights(t))
	f, err := checkpoint.OpenWeights(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := metric.NewInception(f.Tensors)
	if err != nil {
		t.Fatal(err)
	}
	ms := pictures(t, "a32", 1)
	x := prepared(t, metric.TorchFidelity, ms)
	golden.Close(t, "features", got.Layers(x, 1, metric.Inception2048)[0], formulaNet(t).Layers(x, 1, metric.Inception2048)[0], 0)
}

func TestNewInceptionErrors(t *testing.T) {
	nan, negative := golden.InceptionFormula("fc.bias", nil, 1008), make([]float32, 32)
	nan[7] = float32(math.NaN())
	negative[3] = -1
	for _, c := range []struct {
		want string
		edit func(m map[string]*checkpoint.Tensor)
	}{
		{"missing: fc.bias", func(m map[string]*checkpoint.Tensor) { delete(m, "fc.bias") }},
		{"unknown: AuxLogits.fc.bias", func(m map[string]*checkpoint.Tensor) { m["AuxLogits.fc.bias"] = m["fc.bias"] }},
		{"they are torchvision's", func(m map[string]*checkpoint.Tensor) { m["AuxLogits.fc.weight"] = m["fc.weight"] }},
		{"of the wrong shape: fc.weight (is [1008], must be [1008 2048])", func(m map[string]*checkpoint.Tensor) { m["fc.weight"] = m["fc.bias"] }},
		{"and 469 more", func(m map[string]*checkpoint.Tensor) { clear(m) }},
		{"fc.bias: value 7 is NaN", func(m map[string]*checkpoint.Tensor) { m["fc.bias"] = checkpoint.Float32([]int{1008}, nan) }},
		{"Conv2d_1a_3x3.bn.running_var: value 3 is -1", func(m map[string]*checkpoint.Tensor) {
			m["Conv2d_1a_3x3.bn.running_var"] = checkpoint.Float32([]int{32}, negative)
		}},
	} {
		m := golden.InceptionWeights(t)
		c.edit(m)
		if _, err := metric.NewInception(m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want an error that contains %q", err, c.want)
		}
	}
}

// BenchmarkInception reports pictures a second at batch 8, without decoding and resizing.
func BenchmarkInception(b *testing.B) {
	ms := slices.Concat(pictures(b, "a32", 4), pictures(b, "a32", 4))
	x, net := prepared(b, metric.TorchFidelity, ms), formulaNet(b)
	for b.Loop() {
		net.Layers(x, len(ms), metric.Inception2048)
	}
	b.ReportMetric(float64(b.N*len(ms))/b.Elapsed().Seconds(), "pictures/s")
}
