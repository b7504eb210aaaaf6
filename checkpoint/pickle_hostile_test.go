package checkpoint_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
)

// Instructions of a pickle, for hostile ones.
func short(s string) string { return "\x8c" + string(rune(len(s))) + s }

func names(module, name string) string { return "c" + module + "\n" + name + "\n" }

// rebuilt is a pickled tensor over the legacy storage stream in st, with offset, shape and strides as given.
func rebuilt(st, offset, shape, strides string) string {
	return names("torch._utils", "_rebuild_tensor_v2") + "(" + st + offset + shape + strides + "\x89" + names("collections", "OrderedDict") + ")RtR"
}

// stream is a storage of n float32 as EDM writes it, with the claimed number of elements in its two places.
func stream(n, claim, claim2 int64) string {
	number := func(v int64) string { return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(v))) }
	b := "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}(" + short("little_endian") + "\x88u." +
		"\x80\x02(" + short("storage") + names("torch", "FloatStorage") + short("7") + short("cpu") + number(claim) + "NtQ.\x80\x02]" + short("7") + "a."
	return b + string(binary.LittleEndian.AppendUint64(nil, uint64(claim2))) + strings.Repeat("\x00\x00\x80\x3f", int(n))
}

func nested(content string) string {
	return names("torch.storage", "_load_from_bytes") + "B" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(content)))) + content + "\x85R"
}

// hostile lists pickles that are refused, and a word of the reason.
var hostile = []struct{ name, b, want string }{
	{"system", "\x80\x02cos\nsystem\n" + short("true") + "\x85R.", "os.system"},
	{"system by instance", "\x80\x02(" + short("true") + "ios\nsystem\n.", "os.system"},
	{"class from the stack", "\x80\x04" + short("os") + short("system") + "\x93.", "os.system"},
	{"class name with dots", "\x80\x04" + short("torch") + short("FloatStorage.__init__") + "\x93.", "torch.FloatStorage.__init__"},
	{"class name of numbers", "\x80\x04K\x01K\x02\x93.", "no text"},
	{"calling a text", "\x80\x02" + short("os") + ")R.", "not something to call"},
	{"calling a storage class", "\x80\x02" + names("torch", "FloatStorage") + ")R.", "not something to call"},
	{"extension registry", "\x80\x02\x82\x01.", "extension"},
	{"buffer outside", "\x80\x05\x97.", "outside"},
	{"persistent id", "\x80\x02" + short("x") + "\x85Q.", "outside"},
	{"protocol 6", "\x80\x06N.", "protocol 6"},
	{"unknown instruction", "\x80\x02\xff.", "no instruction"},
	{"keyword arguments", "\x80\x04" + names("collections", "OrderedDict") + ")}" + short("a") + "Ns\x92.", "keyword"},
	{"nothing", "\x80\x02.", "0 values"},
	{"two values", "\x80\x02NN.", "2 values"},
	{"open mark", "\x80\x02N(.", "on the stack"},
	{"pop of nothing", "\x80\x020N.", "stack"},
	{"append below a mark", "\x80\x02](N\x61.", "stack"},
	{"get before put", "\x80\x02h\x05.", "under 5"},
	{"key without value", "\x80\x02}(Nu.", "without a value"},
	{"item of a number", "\x80\x02K\x01Na.", "takes no items"},
	{"huge text", "\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffx.", "18446744073709551615 bytes"},
	{"huge whole number", "\x80\x02\x8b\xff\xff\xff\x7fx.", "2147483647 bytes"},
	{"tuples in tuples", "\x80\x02)" + strings.Repeat("\x85", 300) + ".", "200 deep"},
	{"marks", "\x80\x02" + strings.Repeat("(", 5000) + ".", "marks"},
	{"text that is not UTF-8", "\x80\x02X\x02\x00\x00\x00\xc3\x28.", "UTF-8"},
	{"text beyond Latin-1", "\x80\x02" + names("_codecs", "encode") + short("x\u0100") + short("latin1") + "\x86R.", "not Latin-1"},
	{"other encoding", "\x80\x02" + names("_codecs", "encode") + short("x") + short("rot13") + "\x86R.", "rot13"},
	{"stack", "\x80\x02" + strings.Repeat("N", 1<<20+1) + ".", "on the stack"},
	{"storage without bytes", nested(stream(1, 2, 2)), "truncated"},
	{"storage that lies", nested(stream(2, 2, 1)), "says that it has 1"},
	{"storage of 2^60", nested(stream(1, 1<<60, 1<<60)), "1152921504606846976 elements"},
	{"storage of 2^40", nested(stream(1, 1<<40, 1<<40)), "truncated"},
	{"storage of 2^62", nested(stream(1, 1<<62, 1<<62)), "elements"},
	{"storage of -1", nested(stream(1, -1, -1)), "elements"},
	{"storage in a storage", nested(nested(stream(1, 1, 1)) + "."), "arguments"},
	{"tensor of 2^40 ones", rebuilt(nested(stream(1, 1, 1)), "K\x00", "\x8a\x06\x00\x00\x00\x00\x00\x01\x85", "K\x00\x85"), "over 1 elements"},
	{"stride 0", rebuilt(nested(stream(1, 1, 1)), "K\x00", "K\x02\x85", "K\x00\x85"), "over 1 elements"},
	{"offset past the end", rebuilt(nested(stream(2, 2, 2)), "K\x02", "K\x01\x85", "K\x01\x85"), "leaves"},
	{"scalar past the end", rebuilt(nested(stream(2, 2, 2)), "K\x02", ")", ")"), "leaves"},
	{"negative offset", rebuilt(nested(stream(2, 2, 2)), "J\xff\xff\xff\xff", "K\x01\x85", "K\x01\x85"), "offset -1"},
	{"negative stride", rebuilt(nested(stream(2, 2, 2)), "K\x01", "K\x02\x85", "J\xff\xff\xff\xff\x85"), "leaves"},
	{"stride that overflows", rebuilt(nested(stream(4, 4, 4)), "K\x00", "K\x04\x85", "\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x85"), "leaves"},
	{"strides without shape", rebuilt(nested(stream(2, 2, 2)), "K\x00", "K\x02\x85", ")"), "strides"},
	{"product of a shape", rebuilt(nested(stream(2, 2, 2)), "K\x00", "\x8a\x05\x00\x00\x00\x00\x01\x8a\x05\x00\x00\x00\x00\x01\x86", "K\x00K\x00\x86"), "overflows"},
	{"array shorter than its shape", names("numpy.core.multiarray", "_reconstruct") + "(" + names("numpy", "ndarray") + "K\x00\x85C\x01btR(K\x01K\x02\x85" +
		names("numpy", "dtype") + "(" + short("f8") + "\x89\x88tR(K\x03" + short("<") + "tb\x89C\x08aaaaaaaatb.", "of 16 bytes holds 8"},
	{"array of objects", names("numpy.core.multiarray", "scalar") + names("numpy", "dtype") + "(" + short("O8") + "\x89\x88tR" + "C\x08aaaaaaaa\x86R.", "O8"},
	{"TorchScript", names("__torch__.foo", "Net") + ".", "TorchScript"},
}

func TestHostilePickles(t *testing.T) {
	for _, c := range hostile {
		b := c.b
		if !strings.HasPrefix(b, "\x80") {
			b = "\x80\x04" + b
		}
		if !strings.HasSuffix(b, ".") {
			b += "."
		}
		start := time.Now()
		if _, err := readPickle([]byte(b)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
		if d := time.Since(start); d > hang {
			t.Errorf("%s: took %v", c.name, d)
		}
	}
}

// hang is a time that no small file takes, not even on a machine that is busy with other things.
const hang = 10 * time.Second

// TestPickleBombs: what refers to the same bytes over and over is stopped in time and memory.
func TestPickleBombs(t *testing.T) {
	inner := "\x80\x02" + strings.Repeat("N0", 50_000) + "N."
	long := strings.Repeat("a", 1<<20)
	pairs := "](" + strings.Repeat("NN\x86", 10_000) + "e"
	doubled := "]"
	for range 150 {
		doubled += "2\x86" // each the pair of the last with itself
	}
	for _, c := range []struct{ name, b string }{
		{"nested stream read again", "\x80\x02(B" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(inner)))) + inner + "q\x010" +
			strings.Repeat(names("torch.storage", "_load_from_bytes")+"h\x01\x85R0", 5000) + "t."},
		{"text encoded again", "\x80\x02(X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(long)))) + long + "q\x01" + short("latin1") + "q\x0200" +
			strings.Repeat(names("_codecs", "encode")+"h\x01h\x02\x86R0", 20_000) + "t."},
		{"dictionary made again", "\x80\x02" + pairs + "q\x010(" + strings.Repeat(names("collections", "OrderedDict")+"h\x01\x85R0", 20_000) + "t."},
		{"many empty dictionaries", "\x80\x02" + strings.Repeat("}0", 3_000_000) + "N."},
	} {
		start := time.Now()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readPickle([]byte(c.b))
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: was read", c.name)
		}
		if d, n := time.Since(start), after.TotalAlloc-before.TotalAlloc; d > hang || n > 300<<20 {
			t.Errorf("%s: took %v and %d bytes", c.name, d, n)
		}
	}
	p, err := readPickle([]byte("\x80\x02" + doubled + "."))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.File(); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a walk of 2^150 steps: %v", err)
	}
}

// torchZip packs a PyTorch archive; what members say is up to edit.
func torchZip(t testing.TB, program string, members map[string][]byte, edit func(*zip.FileHeader)) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	members["archive/data.pkl"] = []byte(program)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		h := &zip.FileHeader{Name: name}
		if edit != nil {
			edit(h)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(members[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipStorage is the program of an archive with one tensor of n float32 in the storage called key.
func zipStorage(key string, n byte) string {
	return "\x80\x02" + rebuilt("("+short("storage")+names("torch", "FloatStorage")+short(key)+short("cpu")+"K"+string(n)+"tQ", "K\x00", "K"+string(n)+"\x85", "K\x01\x85") + "."
}

func TestHostileZips(t *testing.T) {
	four := []byte{0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64, 0, 0, 128, 64}
	with := func(name string) map[string][]byte { return map[string][]byte{name: four} }
	good := torchZip(t, zipStorage("0", 4), with("archive/data/0"), nil)
	p, err := readPickle(good)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Root.(*checkpoint.Tensor).Float32(); err != nil || !slices.Equal(v, []float32{1, 2, 3, 4}) {
		t.Fatalf("%v, %v", v, err)
	}
	overlap := bytes.Clone(good)
	for i := range overlap[:len(overlap)-46] { // the entry of data/0 in the directory: let it point at data.pkl's header
		if string(overlap[i:i+4]) == "PK\x01\x02" && bytes.HasPrefix(overlap[i+46:], []byte("archive/data/0")) {
			binary.LittleEndian.PutUint32(overlap[i+42:], 0)
			binary.LittleEndian.PutUint32(overlap[i+20:], 16)
			binary.LittleEndian.PutUint32(overlap[i+24:], 16)
		}
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"storage too short", torchZip(t, zipStorage("0", 5), with("archive/data/0"), nil), "of 20 bytes holds 16"},
		{"storage not there", torchZip(t, zipStorage("1", 4), with("archive/data/0"), nil), "no member"},
		{"path out of the folder", torchZip(t, zipStorage("../../etc/passwd", 4), with("archive/data/0"), nil), "no member"},
		{"compressed", torchZip(t, zipStorage("0", 4), with("archive/data/0"), func(h *zip.FileHeader) { h.Method = zip.Deflate }), "compressed"},
		{"big-endian", torchZip(t, zipStorage("0", 4), map[string][]byte{"archive/data/0": four, "archive/byteorder": []byte("big")}, nil), `"big"`},
		{"two programs", torchZip(t, zipStorage("0", 4), map[string][]byte{"archive/data/0": four, "b/data.pkl": four}, nil), "more than one"},
		{"system", torchZip(t, "\x80\x02cos\nsystem\n)R.", with("archive/data/0"), nil), "os.system"},
		{"members that overlap", overlap, "overlap"},
		{"npz", archive(t, "a.npy", npy("'<f4'", "False", "(2,)", make([]byte, 8))), "without data.pkl"},
		{"truncated", good[:len(good)-1], "zip"},
	} {
		if _, err := readPickle(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
	}
}

// TestPickleCuts: no beginning of a sound file is read as if it were whole.
func TestPickleCuts(t *testing.T) {
	for _, name := range []string{"nested0.pkl", "nested4.pkl", "state_dict.pt", "state_dict_old.pth", "stats5.pkl"} {
		b, err := os.ReadFile(golden.Path(t, "pickles", name))
		if err != nil {
			t.Fatal(err)
		}
		for n := range b {
			if p, err := readPickle(b[:n]); err == nil {
				t.Errorf("%s cut to %d of %d bytes gave %v", name, n, len(b), p.Root)
			}
		}
	}
}

// checkPickle is what fuzzing asks of every input: an answer within a second, no more memory than the limit, values that fit their shapes. A byte of
// a pickle can make an object of some dozen.
func checkPickle(t *testing.T, b []byte) {
	size := 0
	golden.Within(t, len(b), 256, func() {
		p, err := readPickle(b)
		if err != nil {
			return
		}
		f, err := p.File()
		if err != nil {
			return
		}
		for _, name := range f.Names {
			x := f.Tensors[name]
			v, err := x.Float64()
			if err == nil && len(v) != x.Len() {
				t.Fatalf("%q: %d values for shape %v", name, len(v), x.Shape)
			}
			if used := x.UseFloat32(func([]float32) error { return nil }); (used == nil) != (err == nil) {
				t.Fatalf("%q: %v with a buffer, %v without", name, used, err)
			}
			size += x.Len() * max(1, x.DType.Bits()/8)
		}
	})
	if size > 2*len(b)+4096 {
		t.Fatalf("%d bytes of tensors in a file of %d", size, len(b))
	}
}

// addFiles adds files of testdata/pickles to a corpus.
func addFiles(f *testing.F, pattern string) {
	paths, _ := filepath.Glob(golden.Path(f, "pickles", pattern))
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	if len(paths) == 0 {
		f.Fatalf("no files %s", pattern)
	}
}

func FuzzPickle(f *testing.F) {
	addFiles(f, "*.pkl")
	for _, c := range hostile {
		if len(c.b) < 10_000 {
			f.Add([]byte("\x80\x04" + c.b + "."))
		}
	}
	f.Fuzz(checkPickle)
}

func FuzzTorchZip(f *testing.F) {
	addFiles(f, "*.pt")
	f.Fuzz(checkPickle)
}

// FuzzTorchZipProgram wraps the bytes in a sound archive, whose directory the fuzzer seldom gets past.
func FuzzTorchZipProgram(f *testing.F) {
	f.Add([]byte(zipStorage("0", 4)))
	f.Fuzz(func(t *testing.T, program []byte) {
		checkPickle(t, torchZip(t, string(program), map[string][]byte{"archive/data/0": make([]byte, 16), "archive/data/1": make([]byte, 8)}, nil))
	})
}

func FuzzTorchLegacy(f *testing.F) {
	addFiles(f, "*.pth")
	f.Add([]byte(stream(2, 2, 2)))
	f.Fuzz(checkPickle)
}
