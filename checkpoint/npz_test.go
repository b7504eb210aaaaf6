package checkpoint_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
)

func TestNPZRoundTrip(t *testing.T) {
	dir := t.TempDir()
	arrays := []checkpoint.Array{
		{Name: "arr_0", Tensor: checkpoint.Uint8([]int{2, 2, 1, 3}, []uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255})},
		{Name: "arr_1", Tensor: checkpoint.Int64([]int{2}, []int64{-1, 7})},
		{Name: "mu", Tensor: checkpoint.Float64([]int{3}, []float64{math.Pi, math.NaN(), math.Inf(-1)})},
		{Name: "f", Tensor: checkpoint.Float32(nil, []float32{0.5})},
		{Name: "none", Tensor: checkpoint.Float32([]int{0, 3}, nil)},
	}
	path := filepath.Join(dir, "x.npz")
	if err := checkpoint.WriteNPZ(path, arrays...); err != nil {
		t.Fatal(err)
	}
	first, _ := os.ReadFile(path)
	if err := checkpoint.WriteNPZ(path, arrays...); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(path); !bytes.Equal(first, again) {
		t.Error("writing twice differs")
	}
	var packed bytes.Buffer
	z := checkpoint.NewNPZWriter(&packed)
	z.Deflate = true
	for _, a := range arrays {
		if err := z.Add(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	eager, err := checkpoint.ReadNPZ(path)
	if err != nil {
		t.Fatal(err)
	}
	lazy, err := checkpoint.OpenNPZ(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lazy.Close()
	deflated, err := checkpoint.ReadNPZFrom(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"arr_0", "arr_1", "mu", "f", "none"}; !slices.Equal(lazy.Names, want) {
		t.Errorf("names %q, want %q", lazy.Names, want)
	}
	for how, tensors := range map[string]map[string]*checkpoint.Tensor{"eager": eager, "lazy": lazy.Tensors, "deflated": deflated.Tensors} {
		for _, a := range arrays {
			g := tensors[a.Name]
			if g == nil || g.DType != a.DType || !slices.Equal(g.Shape, a.Shape) {
				t.Fatalf("%s: %q is %+v, want %s %v", how, a.Name, g, a.DType, a.Shape)
			}
			got, err := g.Float64()
			want, _ := a.Float64()
			if err != nil || !sameBits(got, want) {
				t.Errorf("%s: %q is %v (%v), want %v", how, a.Name, got, err, want)
			}
		}
	}
	// An npz file can be saved as safetensors without a step between.
	if len(encode(t, lazy)) == 0 {
		t.Error("nothing written")
	}
	lazy.Close()
	if _, err := lazy.Tensors["mu"].Float64(); err == nil {
		t.Error("decoded after Close")
	}
}

// The header of a numpy file, byte by byte as numpy 1.26 writes np.zeros((2, 3), np.float32).
func TestNpyHeader(t *testing.T) {
	for shape, want := range map[string]string{"[]": "()", "[5]": "(5,)", "[2 3]": "(2, 3)"} {
		dims := map[string][]int{"[]": nil, "[5]": {5}, "[2 3]": {2, 3}}[shape]
		n := 1
		for _, d := range dims {
			n *= d
		}
		var b bytes.Buffer
		z := checkpoint.NewNPZWriter(&b)
		if err := z.Add(checkpoint.Array{Name: "a", Tensor: checkpoint.Float32(dims, make([]float32, n))}); err != nil {
			t.Fatal(err)
		}
		z.Close()
		r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		m, _ := r.File[0].Open()
		all, err := io.ReadAll(m)
		if err != nil {
			t.Fatal(err)
		}
		text := "{'descr': '<f4', 'fortran_order': False, 'shape': " + want + ", }"
		header := "\x93NUMPY\x01\x00v\x00" + text + strings.Repeat(" ", 117-len(text)) + "\n"
		if len(header) != 128 || string(all[:128]) != header || len(all) != 128+4*n {
			t.Errorf("shape %s: header %q, want %q", shape, all[:128], header)
		}
	}
}

func npy(descr, fortran, shape string, data []byte) []byte {
	h := fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n", descr, fortran, shape)
	return append(append(binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(h))), h...), data...)
}

// archive is an npz file with one stored member; a negative claim leaves its sizes alone.
func archive(t testing.TB, name string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateHeader(&zip.FileHeader{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	w.Write(body)
	z.Close()
	return b.Bytes()
}

func readNPZ(b []byte) (*checkpoint.File, error) {
	return checkpoint.ReadNPZFrom(bytes.NewReader(b), int64(len(b)))
}

func TestNpyOrders(t *testing.T) {
	want := []float64{1, 2, 3, 4, 5, 6}
	var big, column []byte
	for _, v := range want {
		big = binary.BigEndian.AppendUint32(big, math.Float32bits(float32(v)))
	}
	for _, v := range []float32{1, 4, 2, 5, 3, 6} {
		column = binary.LittleEndian.AppendUint32(column, math.Float32bits(v))
	}
	v2 := append([]byte("\x93NUMPY\x02\x00"), npy("'<f4'", "True", "(2L, 3L)", nil)[8:]...)
	v2 = slices.Concat(v2[:10], []byte{0, 0}, v2[10:], column)
	for name, body := range map[string][]byte{
		"big-endian": npy("'>f4'", "False", "(2, 3)", big),
		"Fortran":    npy(`"<f4"`, "True", "(2,3,)", column),
		"version 2":  v2,
	} {
		f, err := readNPZ(archive(t, "a.npy", body))
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := f.Tensors["a"].Float64()
		if err != nil || !sameBits(got, want) {
			t.Errorf("%s: %v (%v), want %v", name, got, err, want)
		}
	}
	// Three dimensions, first index fastest: element (i,j,k) of shape 2×3×4 has the value 100i+10j+k.
	var cube []byte
	for k := range 4 {
		for j := range 3 {
			for i := range 2 {
				cube = append(cube, byte(100*i+10*j+k))
			}
		}
	}
	f, err := readNPZ(archive(t, "a.npy", npy("'|u1'", "True", "(2, 3, 4)", cube)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Tensors["a"].Uint8()
	for n, g := range got {
		if want := byte(100*(n/12) + 10*(n/4%3) + n%4); g != want || err != nil {
			t.Fatalf("element %d is %d (%v), want %d", n, g, err, want)
		}
	}
}

func TestNPZObjects(t *testing.T) {
	for _, descr := range []string{"'|O'", "'<U7'", "'<c8'"} {
		f, err := readNPZ(archive(t, "a.npy", npy(descr, "False", "(1,)", []byte("cposix\nsystem\n"))))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Tensors["a"].Float32(); err == nil || !strings.Contains(err.Error(), strings.Trim(descr, "'")) {
			t.Errorf("%s: %v does not name the type", descr, err)
		}
	}
}

// corruptNPZ lists broken archives and a part of the complaint, which may come with opening or with decoding.
func corruptNPZ(t testing.TB) map[string][]byte {
	good := npy("'<f4'", "False", "(2,)", make([]byte, 8))
	edit := func(b []byte, magic string, off int, v uint32) []byte {
		b = slices.Clone(b)
		binary.LittleEndian.PutUint32(b[bytes.Index(b, []byte(magic))+off:], v)
		return b
	}
	a := archive(t, "a.npy", good)
	var twice, bomb bytes.Buffer
	z := zip.NewWriter(&twice)
	for range 2 {
		w, _ := z.Create("a.npy")
		w.Write(good)
	}
	z.Close()
	z = zip.NewWriter(&bomb)
	w, _ := z.Create("a.npy")
	w.Write(npy("'|u1'", "False", "(300000000,)", nil))
	zeros := make([]byte, 1_000_000)
	for range 300 {
		w.Write(zeros)
	}
	z.Close()
	return map[string][]byte{
		"not a valid zip":       []byte("PK\x03\x04 but nothing else"),
		"npz archive":           nil,
		"is there twice":        twice.Bytes(),
		"decompression bomb":    bomb.Bytes(),
		"stored, but in":        edit(a, "PK\x01\x02", 24, 4000),
		"is encrypted":          edit(a, "PK\x01\x02", 8, 1),
		"checksum error":        edit(a, "PK\x01\x02", 16, 12345),
		"the archive holds":     archive(t, "a.npy", npy("'<f4'", "False", "(3,)", make([]byte, 8))),
		"takes 4 bytes":         archive(t, "a.npy", npy("'<f4'", "False", "(1,)", make([]byte, 8))),
		"overflows":             archive(t, "a.npy", npy("'<f4'", "False", "(4294967296, 4294967296)", make([]byte, 8))),
		"magic":                 archive(t, "a.npy", []byte("\x93NUMPZ\x01\x00\x00\x00\x00\x00")),
		"version 4.0":           archive(t, "a.npy", []byte("\x93NUMPY\x04\x00\x00\x00\x00\x00")),
		"unexpected EOF":        archive(t, "a.npy", good[:30]),
		"longer than":           archive(t, "a.npy", append([]byte("\x93NUMPY\x02\x00\xff\xff\xff\x7f"), good[10:]...)),
		"a string expected":     archive(t, "a.npy", npy("[('a', '<f4')]", "False", "(2,)", make([]byte, 8))),
		`"False" expected`:      archive(t, "a.npy", npy("'<f4'", "Maybe", "(2,)", make([]byte, 8))),
		"a tuple of":            archive(t, "a.npy", npy("'<f4'", "False", "(-2,)", make([]byte, 8))),
		`"(" expected`:          archive(t, "a.npy", npy("'<f4'", "False", "2", make([]byte, 8))),
		"needs descr":           archive(t, "a.npy", append([]byte("\x93NUMPY\x01\x00\x02\x00{}"), 0)),
		"follows the dict":      archive(t, "a.npy", append([]byte("\x93NUMPY\x01\x00\x04\x00{}+1"), 0)),
		`key "more" is unknown`: archive(t, "a.npy", npy("'<f4', 'more': 1", "False", "(2,)", make([]byte, 8))),
	}
}

func TestCorruptNPZ(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.npz")
	for want, b := range corruptNPZ(t) {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := checkpoint.ReadNPZ(path); err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), path) != 1 {
			t.Errorf("error %v, want one that names the file and says %q", err, want)
		}
	}
}

// TestLyingNPZAllocates: an archive that claims 200 MB and holds a hundred bytes costs next to nothing, however it is decoded.
func TestLyingNPZAllocates(t *testing.T) {
	const elements = 100_000_000
	var packed, file bytes.Buffer
	d, _ := flate.NewWriter(&packed, flate.BestSpeed)
	header := npy("'<f2'", "False", fmt.Sprintf("(%d,)", elements), nil)
	d.Write(header)
	d.Write(make([]byte, 100))
	d.Close()
	z := zip.NewWriter(&file)
	w, err := z.CreateRaw(&zip.FileHeader{Name: "a.npy", Method: zip.Deflate,
		CompressedSize64: uint64(packed.Len()), UncompressedSize64: uint64(len(header) + 2*elements)})
	if err != nil {
		t.Fatal(err)
	}
	w.Write(packed.Bytes())
	z.Close()
	for name, decode := range map[string]func(x *checkpoint.Tensor) error{
		"Float32": func(x *checkpoint.Tensor) error { _, err := x.Float32(); return err },
		"As":      func(x *checkpoint.Tensor) error { _, err := x.As(checkpoint.F64); return err },
	} {
		f, err := checkpoint.ReadNPZFrom(bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err = decode(f.Tensors["a"])
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; err == nil || n > 16<<20 {
			t.Errorf("%s: error %v, %d bytes allocated for an archive of %d", name, err, n, file.Len())
		}
	}
}

// TestStoredNPZAllocates holds the memory for an array that is not compressed to its size: a data set may be most of what a machine has.
func TestStoredNPZAllocates(t *testing.T) {
	const elements = 32 << 20
	var file bytes.Buffer
	z := checkpoint.NewNPZWriter(&file)
	w, err := z.Create("a", checkpoint.U8, []int{elements})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, elements)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.ReadNPZFrom(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := f.Tensors["a"].Uint8()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; err != nil || len(got) != elements || n > elements+16<<20 {
		t.Errorf("error %v, %d of %d elements, %d bytes allocated", err, len(got), elements, n)
	}
}

func TestNPZWriterSizes(t *testing.T) {
	var b bytes.Buffer
	z := checkpoint.NewNPZWriter(&b)
	w, err := z.Create("a", checkpoint.U8, []int{4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err == nil {
		t.Error("an array that is not full was accepted")
	}
	if _, err := w.Write([]byte{4, 5}); err == nil {
		t.Error("a byte too many was accepted")
	}
	if _, err := w.Write([]byte{4}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"a", "", "/x", `..\x`} {
		if _, err := z.Create(name, checkpoint.U8, nil); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
	if _, err := z.Create("b", checkpoint.BF16, nil); err == nil {
		t.Error("numpy has no BF16")
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err := readNPZ(b.Bytes()); err != nil || len(f.Names) != 1 {
		t.Errorf("reading back: %v", err)
	}
}

// TestNPZDirectory: a list of members that is longer than any of arrays is not unpacked.
func TestNPZDirectory(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range 150 {
		if _, err := z.Create(fmt.Sprintf("%060000d.npy", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := checkpoint.ReadNPZFrom(bytes.NewReader(b.Bytes()), int64(b.Len())); err == nil || !strings.Contains(err.Error(), "list of members is longer") {
		t.Error(err)
	}
}

func FuzzNPZ(f *testing.F) {
	for name, b := range corruptNPZ(f) {
		if name != "decompression bomb" {
			f.Add(b)
		}
	}
	var b bytes.Buffer
	z := checkpoint.NewNPZWriter(&b)
	z.Deflate = true
	z.Add(checkpoint.Array{Name: "a", Tensor: checkpoint.Float64([]int{2, 2}, []float64{1, 2, 3, 4})})
	z.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var file *checkpoint.File
		var err error
		golden.Within(t, len(b), 64, func() { // for each member, of 46 bytes at least, archive/zip and the reader of deflated data make buffers
			file, err = readNPZ(b)
		})
		if err != nil {
			return
		}
		for _, name := range file.Names {
			x := file.Tensors[name]
			if x.Len() > 1<<24 {
				continue
			}
			if v, err := x.Float64(); err == nil && len(v) != x.Len() {
				t.Fatalf("%q: %d values for shape %v", name, len(v), x.Shape)
			}
		}
	})
}

// The fuzzer seldom gets past a zip's checksum; this one wraps its bytes in a sound archive.
func FuzzNpy(f *testing.F) {
	f.Add(npy("'<f4'", "False", "(2,)", make([]byte, 8)))
	f.Add(npy("'>i2'", "True", "(2, 2, )", make([]byte, 8)))
	f.Add(npy("'|b1'", "True", "()", make([]byte, 1)))
	f.Add(npy("'|O'", "False", "(1,)", make([]byte, 1)))
	f.Fuzz(func(t *testing.T, body []byte) {
		file, err := readNPZ(archive(t, "a.npy", body))
		if err != nil {
			return
		}
		x := file.Tensors["a"]
		v, err := x.Float64()
		if err == nil && len(v) != x.Len() || len(v) > len(body) {
			t.Fatalf("%d values for shape %v in %d bytes", len(v), x.Shape, len(body))
		}
	})
}
