package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"errors"
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

// withHeader is a safetensors file of that JSON and n bytes of data.
func withHeader(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

func one(dtype, shape, offsets string) string {
	return fmt.Sprintf(`{"w":{"dtype":%q,"shape":%s,"data_offsets":%s}}`, dtype, shape, offsets)
}

// corrupt lists broken files and a part of the complaint.
var corrupt = []struct {
	name string
	b    []byte
	want string
}{
	{"empty", nil, "too few"},
	{"short", []byte{1, 2, 3}, "too few"},
	{"no header", withHeader("", 0), "too short"},
	{"header longer than the file", append(binary.LittleEndian.AppendUint64(nil, 500), '{', '}'), "header of 500 bytes in a file of 10"},
	{"header length near 2^64", append(binary.LittleEndian.AppendUint64(nil, 1<<64-1), "{}"...), "truncated"},
	{"header length near 2^63", append(binary.LittleEndian.AppendUint64(nil, 1<<63-8), "{}"...), "truncated"},
	{"zip", append([]byte("PK\x03\x04\x14\x00\x00\x00"), make([]byte, 50)...), "zip archive"},
	{"pickle", append([]byte("\x80\x02}q\x00X\x01\x00"), make([]byte, 50)...), "pickle"},
	{"LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "Git LFS"},
	{"leading space", withHeader(` {}`, 0), "'{'"},
	{"array", withHeader(`[]`, 0), "'{'"},
	{"cut JSON", withHeader(`{"w":{"dtype":"F32"`, 0), "EOF"},
	{"something after", withHeader(`{} {}`, 0), "follows"},
	{"not UTF-8", withHeader("{\"\xff\":1}", 0), "UTF-8"},
	{"data without tensors", withHeader(`{}`, 4), "4 bytes of data"},
	{"unknown dtype", withHeader(one("F33", "[1]", "[0,4]"), 4), `"F33"`},
	{"empty dtype", withHeader(one("", "[1]", "[0,4]"), 4), `unknown dtype ""`},
	{"truncated data", withHeader(one("F32", "[2]", "[0,8]"), 7), "truncated"},
	{"trailing data", withHeader(one("F32", "[2]", "[0,8]"), 9), "end at 8"},
	{"shape too small", withHeader(one("F32", "[1]", "[0,8]"), 8), "takes 4 bytes"},
	{"offsets reversed", withHeader(one("F32", "[1]", "[4,0]"), 4), "not inside"},
	{"hole at the start", withHeader(one("F32", "[1]", "[4,8]"), 8), "hole"},
	{"negative offset", withHeader(one("F32", "[1]", "[-4,0]"), 4), "integer"},
	{"fractional dimension", withHeader(one("F32", "[1.0]", "[0,4]"), 4), "integer"},
	{"exponent", withHeader(one("F32", "[1e0]", "[0,4]"), 4), "integer"},
	{"negative dimension", withHeader(one("F32", "[-1]", "[0,4]"), 4), "integer"},
	{"huge dimension", withHeader(one("F32", "[18446744073709551617]", "[0,4]"), 4), "integer"},
	{"product overflows to 4", withHeader(one("F32", "[4294967296,4294967296,1]", "[0,4]"), 4), "overflow"},
	{"product overflows to 0", withHeader(one("U8", "[4611686018427387904,4]", "[0,0]"), 0), "overflow"},
	{"bytes overflow", withHeader(one("F64", "[2305843009213693952]", "[0,0]"), 0), "overflow"},
	{"part of a byte", withHeader(one("F4", "[3]", "[0,1]"), 1), "whole bytes"},
	{"offset near 2^63", withHeader(one("F32", "[1]", "[9223372036854775804,9223372036854775807]"), 4), "not inside"},
	{"three offsets", withHeader(one("F32", "[1]", "[0,4,8]"), 4), "more than 2"},
	{"one offset", withHeader(one("F32", "[1]", "[0]"), 4), "1 numbers"},
	{"rank 65", withHeader(one("F32", "[1"+strings.Repeat(",1", 64)+"]", "[0,4]"), 4), "more than 64"},
	{"no shape", withHeader(`{"w":{"dtype":"F32","data_offsets":[0,4]}}`, 4), "needs"},
	{"tensor is a list", withHeader(`{"w":[]}`, 0), "expected"},
	{"deep nesting", withHeader(`{"w":{"x":`+strings.Repeat("[", 20000)+strings.Repeat("]", 20000)+`}}`, 0), "depth"},
	{"name twice", withHeader(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), "twice"},
	{"field twice", withHeader(`{"w":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}}`, 4), "twice"},
	{"metadata twice", withHeader(`{"__metadata__":{"a":"1"},"__metadata__":{}}`, 0), "twice"},
	{"metadata key twice", withHeader(`{"__metadata__":{"a":"1","a":"2"}}`, 0), "twice"},
	{"metadata number", withHeader(`{"__metadata__":{"a":1}}`, 0), "not a string"},
	{"overlap", withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12), "overlap"},
	{"same bytes twice", withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), "overlap"},
	{"hole", withHeader(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}}`, 5), "hole"},
}

func TestCorrupt(t *testing.T) {
	dir := t.TempDir()
	for _, c := range corrupt {
		path := filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-"))
		if err := os.WriteFile(path, c.b, 0o666); err != nil {
			t.Fatal(err)
		}
		_, errFile := checkpoint.Open(path)
		_, errBytes := checkpoint.OpenBytes(c.b)
		_, errReader := checkpoint.Read(bytes.NewReader(c.b), int64(len(c.b)))
		for _, err := range []error{errFile, errBytes, errReader} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
			}
		}
		if errFile != nil && !strings.Contains(errFile.Error(), path) {
			t.Errorf("%s: %v does not name the file", c.name, errFile)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "none")} {
		if _, err := checkpoint.Open(path); err == nil || strings.Count(err.Error(), path) != 1 {
			t.Errorf("opening %s: %v", path, err)
		}
	}
}

// Any cut of a good file is refused, and so is any file that a reader claims is longer.
func TestTruncated(t *testing.T) {
	raw := encode(t, sample())
	for n := range raw {
		if _, err := checkpoint.OpenBytes(raw[:n]); err == nil {
			t.Fatalf("a file cut from %d to %d bytes was accepted", len(raw), n)
		}
	}
	if _, err := checkpoint.OpenBytes(append(raw, 0)); err == nil {
		t.Error("a file with a byte too many was accepted")
	}
	f, err := checkpoint.Read(bytes.NewReader(raw[:len(raw)-1]), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Tensors["pix"].Uint8(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("decoding past the end of the reader: %v", err)
	}
	if err := checkpoint.Write(io.Discard, f); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("copying past the end of the reader: %v", err)
	}
}

// A file that shrinks while it is mapped gives an error, not a crash.
func TestShrinks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("how mapped files behave when cut differs")
	}
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := checkpoint.WriteFile(path, &checkpoint.File{Tensors: map[string]*checkpoint.Tensor{
		"w": checkpoint.Float32([]int{1 << 16}, make([]float32, 1<<16)),
	}}); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Tensors["w"].Float32(); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("decoding: %v", err)
	}
}

// A header may not make the reader allocate more than the file's own size suggests.
func TestLyingHeaderAllocates(t *testing.T) {
	b := append(binary.LittleEndian.AppendUint64(nil, 90_000_000), '{')
	if n := testing.AllocsPerRun(10, func() { checkpoint.OpenBytes(b) }); n > 50 {
		t.Errorf("%g allocations", n)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	checkpoint.OpenBytes(b)
	checkpoint.OpenBytes(withHeader(one("F32", "[1000000000]", "[0,4000000000]"), 8))
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes allocated for two tiny files", n)
	}
}

func TestUndecodable(t *testing.T) {
	for _, dtype := range []string{"F8_E4M3", "F8_E5M2", "C64", "F4", "F6_E2M3"} {
		bits := checkpoint.DType(dtype).Bits()
		raw := withHeader(one(dtype, "[8]", fmt.Sprintf("[0,%d]", bits)), bits)
		f, err := checkpoint.OpenBytes(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Tensors["w"].Float32(); err == nil || !strings.Contains(err.Error(), dtype) {
			t.Errorf("%s: error %v does not name the type", dtype, err)
		}
		if g, err := checkpoint.OpenBytes(encode(t, f)); err != nil || g.Tensors["w"].DType != checkpoint.DType(dtype) {
			t.Errorf("%s is not copied: %v", dtype, err)
		}
	}
	f, err := checkpoint.OpenBytes(rawFile("U64", 1, bytes.Repeat([]byte{255}, 8)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Tensors["t"].Int64(); err == nil {
		t.Error("2^64-1 as int64: no error")
	}
	if v, err := f.Tensors["t"].Float64(); err != nil || v[0] != 1<<64 {
		t.Errorf("2^64-1 as float64: %v, %v", v, err)
	}
	if _, err := checkpoint.Float32([]int{1}, []float32{1}).Int64(); err == nil {
		t.Error("F32 as int64: no error")
	}
}

func TestIntegers(t *testing.T) {
	for dtype, want := range map[string]int64{"I8": -2, "I16": -2, "I32": -2, "I64": -2, "U8": 254, "U16": 65534, "U32": 1<<32 - 2} {
		raw := bytes.Repeat([]byte{255}, checkpoint.DType(dtype).Bits()/8)
		raw[0] = 254
		f, err := checkpoint.OpenBytes(rawFile(dtype, 1, raw))
		if err != nil {
			t.Fatal(err)
		}
		n, err := f.Tensors["t"].Int64()
		x, errX := f.Tensors["t"].Float64()
		if err != nil || errX != nil || n[0] != want || x[0] != float64(want) {
			t.Errorf("%s: %v %v, %v %v, want %d", dtype, n, err, x, errX, want)
		}
	}
	f, err := checkpoint.OpenBytes(rawFile("BOOL", 3, []byte{0, 1, 2}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Tensors["t"].Int64(); err == nil {
		t.Error("a BOOL of 2 gave no error")
	}
}

// TestTooManyNames: a header of millions of names, each of which takes more memory than letters.
func TestTooManyNames(t *testing.T) {
	b := []byte(`{"__metadata__":{`)
	for i := range 1<<17 + 1 {
		b = fmt.Appendf(b, `"%d":"",`, i)
	}
	if _, err := checkpoint.OpenBytes(withHeader(string(b[:len(b)-1])+"}}", 0)); err == nil || !strings.Contains(err.Error(), "more than 131072 names") {
		t.Error(err)
	}
}

func FuzzSafetensors(f *testing.F) {
	f.Add(encode(f, sample()))
	for _, c := range corrupt {
		f.Add(c.b)
	}
	f.Add(withHeader(`{"__metadata__":{"a":"b"},"x":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2],"more":[1,{}]}}  `, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		var file *checkpoint.File
		var err error
		golden.Within(t, len(b), 16, func() { // of JSON that says little in many letters
			file, err = checkpoint.OpenBytes(b)
		})
		if err != nil {
			return
		}
		size := 0
		for _, name := range file.Names {
			x := file.Tensors[name]
			v, err := x.Float64()
			if err == nil && len(v) != x.Len() {
				t.Fatalf("%q: %d values for shape %v", name, len(v), x.Shape)
			}
			x.Int64()
			w, err := x.Float32()
			used := x.UseFloat32(func(v []float32) error {
				if !slices.EqualFunc(v, w, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
					t.Fatalf("%q: %v without a copy, %v with", name, v, w)
				}
				return nil
			})
			if (used == nil) != (err == nil) {
				t.Fatalf("%q: %v without a copy, %v with", name, used, err)
			}
			size += x.Len() * x.DType.Bits() / 8
		}
		if size > len(b) {
			t.Fatalf("%d bytes of tensors in a file of %d", size, len(b))
		}
		// What was read can be written, and reads the same.
		raw := encode(t, file)
		again, err := checkpoint.OpenBytes(raw)
		if err != nil || len(again.Tensors) != len(file.Tensors) {
			t.Fatalf("after writing: %v", err)
		}
		if !bytes.Equal(raw, encode(t, again)) {
			t.Fatal("writing twice differs")
		}
	})
}
