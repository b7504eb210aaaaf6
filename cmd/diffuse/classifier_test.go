package main

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"diffuse/checkpoint"
	"diffuse/metric"
	"diffuse/tensor"
)

// TestCrossEntropy compares loss and gradient with the definition.
func TestCrossEntropy(t *testing.T) {
	z := tensor.From([]float32{1, 2, -1, 0.5, 0, 3}, 2, 3)
	labels := []int{1, 0}
	loss := func() (s float64) {
		for i, k := range labels {
			sum := 0.0
			for _, v := range z.Data[3*i : 3*i+3] {
				sum += math.Exp(float64(v))
			}
			s += 0.5 * (math.Log(sum) - float64(z.Data[3*i+k]))
		}
		return s
	}
	grad, got := crossEntropy(z, labels, 0.5)
	if want := loss(); !(math.Abs(got-want) < 1e-12) {
		t.Errorf("the loss is %g, want %g", got, want)
	}
	for i := range z.Data {
		const h = 1.0 / 64 // exact in float32
		at := func(step float32) float64 {
			z.Data[i] += step
			defer func() { z.Data[i] -= step }()
			return loss()
		}
		if want := (8*(at(h)-at(-h)) - at(2*h) + at(-2*h)) / (12 * h); !(math.Abs(float64(grad[i])-want) < 1e-6) {
			t.Errorf("gradient %d is %g, finite difference %g", i, grad[i], want)
		}
	}
}

// TestTrainClassifier trains on two classes that a glance tells apart.
func TestTrainClassifier(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	for _, part := range []struct {
		name string
		n    int
	}{{"train", 128}, {"t10k", 32}} {
		images := binary.BigEndian.AppendUint32([]byte{0, 0, 8, 3}, uint32(part.n))
		images = binary.BigEndian.AppendUint32(images, 8)
		images = binary.BigEndian.AppendUint32(images, 8)
		labels := binary.BigEndian.AppendUint32([]byte{0, 0, 8, 1}, uint32(part.n))
		for i := range part.n {
			labels = append(labels, uint8(i%2))
			for p := range 64 {
				images = append(images, uint8(r.IntN(100)+150*(i%2*(p/32)))) // class 1 is bright below
			}
		}
		for file, b := range map[string][]byte{"-images-idx3-ubyte": images, "-labels-idx1-ubyte": labels} {
			if err := os.WriteFile(filepath.Join(dir, part.name+file), b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	out := filepath.Join(dir, "c.safetensors")
	args := []string{"train-classifier", "--data", dir, "--title", "bright", "--out", out, "--epochs", "4", "--batch", "32", "-q"}
	if err := run(context.Background(), args, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := metric.ReadClassifier(f)
	if err != nil {
		t.Fatal(err)
	}
	if c.Accuracy < 0.9 || c.Title != "bright" {
		t.Errorf("%q knows %.2f of the pictures", c.Title, c.Accuracy)
	}
	tooFew := append(args[:len(args):len(args)], "--batch", "129")
	if err := run(context.Background(), tooFew, io.Discard, io.Discard); complain(io.Discard, err) != 2 {
		t.Errorf("a batch of 129 from 128 pictures, which is no step at all: %v", err)
	}
	if err := run(context.Background(), args[:3], io.Discard, io.Discard); complain(io.Discard, err) != 2 {
		t.Errorf("without --out: %v", err)
	}
}
