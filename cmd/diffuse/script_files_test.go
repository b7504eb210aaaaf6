package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"diffuse/checkpoint"
	"diffuse/imageio"
)

// The scripts' commands that make files and look into them:
//
//	mkdata DIR SIDE N           N grey pictures, half in DIR/bright, half in DIR/dark
//	mkidx DIR SIDE N SAID       the same as idx files whose images header says SAID pictures
//	arrays FILE NAME=SHAPE...   safetensors of unit normal numbers; NAME=V@SHAPE is V throughout, NAME=int:LIST are int64
//	trace TRACE NOISE           the trace starts at the noise, falls to 0 and ends in its last denoised state
//	close A B NAME TOLERANCE    the arrays NAME of two files differ by no more
//	samemetrics A B             two reports of eval --json hold the same numbers, to nine digits
//	lastevaluation METRICS OUT  the report in the last line of a run's metrics.jsonl, as eval --json writes it
//	cut FILE N                  keep the first N bytes; N < 0: lose the last -N
//	flip FILE N                 invert byte N; N < 0: from the end
//	onlyfile VAR DIR            set VAR to the path of the one file in DIR
//	replace FILE OLD NEW        the only OLD becomes NEW, of the same length
//
// All numbers come from fixed streams.

// toyPicture is noise around a brightness that tells the class.
func toyPicture(side, i int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	pix := make([]byte, side*side)
	for j := range pix {
		pix[j] = byte(64 + 128*(i%2) + r.IntN(64))
	}
	return pix
}

func scriptMakeData(ts *testscript.TestScript, args []string) {
	need(ts, args, 3, "mkdata DIR SIDE N")
	side, n := number(ts, args[1]), number(ts, args[2])
	for i := range n {
		dir := filepath.Join(ts.MkAbs(args[0]), []string{"dark", "bright"}[i%2])
		ts.Check(os.MkdirAll(dir, 0o777))
		m := imageio.New(side, side, 1)
		copy(m.Pix, toyPicture(side, i))
		ts.Check(imageio.WritePNG(filepath.Join(dir, fmt.Sprintf("%03d.png", i)), m, nil))
	}
}

func scriptMakeIDX(ts *testscript.TestScript, args []string) {
	need(ts, args, 4, "mkidx DIR SIDE N SAID")
	side, n := number(ts, args[1]), number(ts, args[2])
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o777))
	images, labels := []byte{0, 0, 8, 3}, []byte{0, 0, 8, 1}
	for _, d := range []int{number(ts, args[3]), side, side} {
		images = binary.BigEndian.AppendUint32(images, uint32(d))
	}
	labels = binary.BigEndian.AppendUint32(labels, uint32(n))
	for i := range n {
		images = append(images, toyPicture(side, i)...)
		labels = append(labels, byte(i%2))
	}
	ts.Check(os.WriteFile(filepath.Join(dir, "train-images-idx3-ubyte"), images, 0o666))
	ts.Check(os.WriteFile(filepath.Join(dir, "train-labels-idx1-ubyte"), labels, 0o666))
}

func scriptArrays(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "arrays FILE NAME=SHAPE...")
	tensors := map[string]*checkpoint.Tensor{}
	for _, arg := range args[1:] {
		name, what, _ := strings.Cut(arg, "=")
		if list, ok := strings.CutPrefix(what, "int:"); ok {
			var v []int64
			for _, x := range wholeNumbers(ts, list) {
				v = append(v, int64(x))
			}
			tensors[name] = checkpoint.Int64([]int{len(v)}, v)
			continue
		}
		value, shape, constant := strings.Cut(what, "@")
		if !constant {
			shape = what
		}
		dims := wholeNumbers(ts, shape)
		x := make([]float32, product(dims))
		r := rand.New(rand.NewPCG(2, uint64(len(name))))
		for i := range x {
			x[i] = float32(r.NormFloat64())
			if constant {
				v, err := strconv.ParseFloat(value, 32)
				ts.Check(err)
				x[i] = float32(v)
			}
		}
		tensors[name] = checkpoint.Float32(dims, x)
	}
	ts.Check(checkpoint.WriteFile(ts.MkAbs(args[0]), &checkpoint.File{Tensors: tensors}))
}

func wholeNumbers(ts *testscript.TestScript, list string) []int {
	var v []int
	for _, s := range strings.Split(list, ",") {
		v = append(v, number(ts, s))
	}
	return v
}

func product(list []int) int {
	p := 1
	for _, v := range list {
		p *= v
	}
	return p
}

// scriptTrace checks the trace of a run that ends at noise level 0 against the noise that it was given.
func scriptTrace(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "trace TRACE NOISE")
	sigmas, _ := array(ts, args[0], "sigmas")
	x, shape := array(ts, args[0], "x")
	denoised, dshape := array(ts, args[0], "denoised")
	noise, nshape := array(ts, args[1], "noise")
	steps, n := len(sigmas)-1, len(noise)
	if !slices.Equal(shape, append([]int{steps + 1}, nshape...)) || !slices.Equal(dshape, append([]int{steps}, nshape...)) {
		ts.Fatalf("x is %v and denoised %v for noise %v and %d steps", shape, dshape, nshape, steps)
	}
	for i := range steps {
		if !(sigmas[i+1] < sigmas[i]) {
			ts.Fatalf("sigmas[%d] is %v after %v", i+1, sigmas[i+1], sigmas[i])
		}
	}
	if sigmas[steps] != 0 {
		ts.Fatalf("the last level is %v, want 0", sigmas[steps])
	}
	for i, v := range noise {
		if x[i] != sigmas[0]*v {
			ts.Fatalf("x[0], element %d, is %v, want %v times %v", i, x[i], sigmas[0], v)
		}
		if a, b := x[steps*n+i], denoised[(steps-1)*n+i]; a != b {
			ts.Fatalf("the last state, element %d, is %v, want the last denoised %v", i, a, b)
		}
	}
}

// scriptClose compares arrays, for results that two ways of rounding the input lead to.
func scriptClose(ts *testscript.TestScript, args []string) {
	need(ts, args, 4, "close A B NAME TOLERANCE")
	a, shape := array(ts, args[0], args[2])
	b, other := array(ts, args[1], args[2])
	tolerance, err := strconv.ParseFloat(args[3], 64)
	ts.Check(err)
	if !slices.Equal(shape, other) {
		ts.Fatalf("%s is %v in %s and %v in %s", args[2], shape, args[0], other, args[1])
	}
	for i := range a {
		if d := math.Abs(a[i] - b[i]); !(d <= tolerance) {
			ts.Fatalf("%s, element %d: %v and %v differ by %g", args[2], i, a[i], b[i], d)
		}
	}
}

func scriptSameMetrics(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "samemetrics A B")
	var reports [2]evalReport
	for i := range reports {
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[i])), &reports[i]))
	}
	a, b := reports[0].Metrics, reports[1].Metrics
	if len(a) == 0 || len(a) != len(b) {
		ts.Fatalf("%d and %d metrics", len(a), len(b))
	}
	for name, x := range a {
		if y, ok := b[name]; !ok || !(math.Abs(x.Value-y.Value) <= 1e-9*math.Abs(x.Value)) {
			ts.Fatalf("%s is %v and %v", name, x.Value, y.Value)
		}
	}
}

// scriptLastEvaluation writes the report in the last line of a run's metrics.jsonl, as diffuse eval --json does.
func scriptLastEvaluation(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "lastevaluation METRICS OUT")
	lines := strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n")
	var line struct{ Evaluation json.RawMessage }
	ts.Check(json.Unmarshal([]byte(lines[len(lines)-1]), &line))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), line.Evaluation, 0o666))
}

// array reads one tensor of a safetensors file.
func array(ts *testscript.TestScript, path, name string) ([]float64, []int) {
	f, err := checkpoint.Open(ts.MkAbs(path))
	ts.Check(err)
	defer f.Close()
	t, err := f.Tensor(name)
	ts.Check(err)
	v, err := t.Float64()
	ts.Check(err)
	return v, slices.Clone(t.Shape)
}

func scriptCut(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "cut FILE N")
	b, n := ts.ReadFile(args[0]), number(ts, args[1])
	if n < 0 {
		n += len(b)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b[:n]), 0o666))
}

// scriptFlip inverts a byte.
func scriptFlip(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "flip FILE N")
	b, n := []byte(ts.ReadFile(args[0])), number(ts, args[1])
	if n < 0 {
		n += len(b)
	}
	b[n] ^= 0xff
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o666))
}

// scriptOnlyFile finds a file whose name the script cannot know.
func scriptOnlyFile(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "onlyfile VAR DIR")
	list := names(ts, args[1])
	if len(list) != 1 {
		ts.Fatalf("%s holds %q, want one file", args[1], list)
	}
	ts.Setenv(args[0], filepath.Join(args[1], list[0]))
}

func scriptReplace(ts *testscript.TestScript, args []string) {
	need(ts, args, 3, "replace FILE OLD NEW")
	b := ts.ReadFile(args[0])
	if strings.Count(b, args[1]) != 1 || len(args[1]) != len(args[2]) {
		ts.Fatalf("%q is %d times in %s and becomes %q", args[1], strings.Count(b, args[1]), args[0], args[2])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(b, args[1], args[2], 1)), 0o666))
}
