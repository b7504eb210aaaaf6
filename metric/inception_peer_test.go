package metric_test

import (
	"os"
	"path/filepath"
	"testing"

	"diffuse/checkpoint"
	"diffuse/imageio"
	"diffuse/metric"
)

// peerFolder is where bench/inception.sh has put random weights, pictures and the features that torch-fidelity finds in them.
func peerFolder(t testing.TB) string {
	dir := os.Getenv("DIFFUSE_INCEPTION")
	if dir == "" {
		t.Skip("run by bench/inception.sh")
	}
	return dir
}

func peerNet(t testing.TB) metric.Extractor {
	f, err := checkpoint.Open(filepath.Join(peerFolder(t), "weights.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	net, err := metric.NewInception(f.Tensors)
	if err != nil {
		t.Fatal(err)
	}
	ex, err := net.Extractor("inception-2048/torch_fidelity")
	if err != nil {
		t.Fatal(err)
	}
	return ex
}

func peerArray(t testing.TB, file, name string) *checkpoint.Tensor {
	f, err := checkpoint.OpenNPZ(filepath.Join(peerFolder(t), file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	x, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func peerPictures(t testing.TB, n int) []imageio.Image {
	x := peerArray(t, "pictures.npz", "arr_0")
	pixels, err := x.Uint8()
	if err != nil {
		t.Fatal(err)
	}
	ms := make([]imageio.Image, n)
	for i := range ms {
		ms[i] = imageio.Image{H: x.Shape[1], W: x.Shape[2], C: x.Shape[3]}
		size := ms[i].H * ms[i].W * ms[i].C
		ms[i].Pix = pixels[i*size : (i+1)*size]
	}
	return ms
}

func TestPeerInception(t *testing.T) {
	ex, ms := peerNet(t), peerPictures(t, 8)
	got := make([]float64, len(ms)*ex.Dim())
	if err := ex.Features(got, ms); err != nil {
		t.Fatal(err)
	}
	values, err := peerArray(t, "peer.npz", "features").Float64()
	if err != nil {
		t.Fatal(err)
	}
	worst, top := 0.0, 0.0
	for i, v := range values {
		worst, top = max(worst, abs(got[i]-v)), max(top, abs(v))
	}
	t.Logf("largest difference of features %.2g of their maximum", worst/top)
	if !(worst <= 1e-4*top) {
		t.Errorf("features differ by %g, at most %g", worst, top)
	}
}

// BenchmarkInceptionExtractor reports pictures a second, from bytes to features.
func BenchmarkInceptionExtractor(b *testing.B) {
	ex, ms := peerNet(b), peerPictures(b, 64)
	dst := make([]float64, len(ms)*ex.Dim())
	for b.Loop() {
		if err := ex.Features(dst, ms); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(ms))/b.Elapsed().Seconds(), "pictures/s")
}
