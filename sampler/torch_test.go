package sampler_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"

	"diffuse/sampler"
)

// torchGolden is testdata/torch/randn.json, written by make.py beside it.
type torchGolden struct {
	Sizes, Draws    []int
	Seeds           []string
	Fresh, Sequence map[string][]string // by type; per seed, 16 digits a tensor
	Million         map[string]string
	Bits42          map[string]map[int]string
}

func readTorchGolden(t *testing.T) torchGolden {
	t.Helper()
	b, err := os.ReadFile("../testdata/torch/randn.json")
	if err != nil {
		t.Fatal(err)
	}
	var g torchGolden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Seeds) != 8 || len(g.Sizes) != 41 || len(g.Fresh) != 2 {
		t.Fatalf("golden file has %d seeds, %d sizes, %d types", len(g.Seeds), len(g.Sizes), len(g.Fresh))
	}
	return g
}

// torchBytes draws n normals and returns their bytes as torch stores them.
func torchBytes(g *sampler.Torch, dtype string, n int) []byte {
	x := make([]float64, n)
	var b []byte
	if dtype == "float64" {
		g.Normal64(x)
		for _, v := range x {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		return b
	}
	g.Normal32(x)
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
	}
	return b
}

func shortHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// torch.manual_seed(s); torch.randn(n) equals ours bit for bit: sizes 1 to 40 and 3072, eight seeds, both types.
func TestTorchFresh(t *testing.T) {
	g := readTorchGolden(t)
	for dtype, seeds := range g.Fresh {
		for i, want := range seeds {
			seed, err := strconv.ParseUint(g.Seeds[i], 10, 64)
			if err != nil || len(want) != 16*len(g.Sizes) {
				t.Fatalf("%s seed %q: %v, %d digits", dtype, g.Seeds[i], err, len(want))
			}
			for j, n := range g.Sizes {
				if got := shortHash(torchBytes(sampler.NewTorch(seed), dtype, n)); got != want[16*j:16*j+16] {
					t.Errorf("%s, seed %d, %d values: hash %s, want %s", dtype, seed, n, got, want[16*j:16*j+16])
				}
			}
		}
	}
}

// The values themselves, which say more than a hash when something is wrong.
func TestTorchBits(t *testing.T) {
	for dtype, sizes := range readTorchGolden(t).Bits42 {
		for n, want := range sizes {
			if got := hex.EncodeToString(torchBytes(sampler.NewTorch(42), dtype, n)); got != want {
				t.Errorf("%s, %d values\n got %s\nwant %s", dtype, n, got, want)
			}
		}
	}
}

// One generator goes on from tensor to tensor; half a pair of a small tensor waits for the next small one.
func TestTorchSequence(t *testing.T) {
	g := readTorchGolden(t)
	for dtype, seeds := range g.Sequence {
		for i, want := range seeds {
			seed, _ := strconv.ParseUint(g.Seeds[i], 10, 64)
			r, got := sampler.NewTorch(seed), ""
			for _, n := range g.Draws {
				got += shortHash(torchBytes(r, dtype, n))
			}
			if got != want {
				t.Errorf("%s, seed %d: draws of %v\n got %s\nwant %s", dtype, seed, g.Draws, got, want)
			}
		}
	}
}

// A million values meet every branch of the transforms.
func TestTorchMillion(t *testing.T) {
	for dtype, want := range readTorchGolden(t).Million {
		if got := shortHash(torchBytes(sampler.NewTorch(7), dtype, 1_000_003)); got != want {
			t.Errorf("%s: hash %s, want %s", dtype, got, want)
		}
	}
}

// Starting noise and the noise of two steps, from one generator a picture, whatever the batch.
func TestTorchNoise(t *testing.T) {
	const per = 20
	both := sampler.TorchNoise([]uint64{5, 1<<32 + 6}, per)
	a, b := sampler.NewTorch(5), sampler.NewTorch(6)
	for range 3 {
		x, ya, yb := make([]float64, 2*per), make([]float64, per), make([]float64, per)
		both(x)
		a.Normal32(ya)
		b.Normal32(yb)
		same(t, "two pictures", x, append(ya, yb...))
	}
	panics(t, "a buffer of another batch", "2 pictures of 20", func() { both(make([]float64, per)) })
}
