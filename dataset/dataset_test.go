package dataset_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"diffuse/dataset"
	"diffuse/imageio"
)

func TestPermutation(t *testing.T) {
	// The documented algorithm; a change of these numbers breaks every resumed run.
	for _, c := range []struct {
		seed  uint64
		epoch int
		want  []int
	}{{0, 0, []int{1, 6, 7, 5, 2, 4, 0, 3}}, {0, 1, []int{5, 7, 3, 0, 6, 2, 1, 4}}, {1 << 63, 7, []int{3, 2, 1, 4, 7, 0, 6, 5}}} {
		if got := dataset.Permutation(c.seed, c.epoch, len(c.want)); !slices.Equal(got, c.want) {
			t.Errorf("seed %d, epoch %d: %v, want %v", c.seed, c.epoch, got, c.want)
		}
	}
	for _, n := range []int{0, 1, 2, 1000} {
		p := dataset.Permutation(3, 5, n)
		slices.Sort(p)
		for i, v := range p {
			if v != i {
				t.Fatalf("n = %d: not a permutation", n)
			}
		}
	}
	// Every element reaches every place about equally often: 24000 shuffles of 4 put 6000 ± 5·67 in each cell.
	var count [4][4]int
	for epoch := range 24000 {
		for place, v := range dataset.Permutation(9, epoch, 4) {
			count[place][v]++
		}
	}
	for place, row := range count {
		for v, n := range row {
			if n < 6000-335 || n > 6000+335 {
				t.Errorf("element %d comes %d times to place %d, want about 6000", v, n, place)
			}
		}
	}
}

// tree writes files, path to content, below a new folder.
func tree(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// flat is a PNG of one colour; one value makes it grey.
func flat(t testing.TB, h, w int, colour ...uint8) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := imageio.EncodePNG(&b, imageio.Image{H: h, W: w, C: len(colour), Pix: bytes.Repeat(colour, h*w)}, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// content lists label and first byte of every picture.
func content(t testing.TB, d dataset.Dataset) string {
	t.Helper()
	h, w, c := d.Size()
	var s []string
	dst := make([]uint8, h*w*c)
	for i := range d.Len() {
		label, err := d.Get(i, dst)
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, fmt.Sprintf("%d:%d", label, dst[0]))
	}
	return strings.Join(s, " ")
}

func TestFolder(t *testing.T) {
	small := flat(t, 2, 3, 50)
	for _, c := range []struct {
		name    string
		files   map[string][]byte
		o       dataset.Options
		content string
		size    [3]int
		classes []string
	}{
		{"classes, sorted, deeper folders ignored, other files too",
			map[string][]byte{"b/1.png": flat(t, 2, 2, 1), "a/x/2.PNG": flat(t, 2, 2, 2), "a/1.png": flat(t, 2, 2, 3), "a/.hidden.png": small,
				"README.txt": nil, "c/notes.json": nil, ".git/x.png": small, "__MACOSX/b/1.png": small},
			dataset.Options{}, "0:3 0:2 1:1", [3]int{2, 2, 1}, []string{"a", "b"}},
		{"no classes", map[string][]byte{"2.png": flat(t, 2, 2, 2), "1.png": flat(t, 2, 2, 1)}, dataset.Options{}, "-1:1 -1:2", [3]int{2, 2, 1}, nil},
		{"one colour picture makes a colour set, opacity over white", map[string][]byte{"1.png": flat(t, 2, 2, 7), "2.png": flat(t, 2, 2, 9, 8, 7, 100)}, dataset.Options{}, "-1:7 -1:159", [3]int{2, 2, 3}, nil},
		{"grey asked for", map[string][]byte{"1.png": flat(t, 2, 2, 7), "2.png": flat(t, 2, 2, 255, 0, 0)}, dataset.Options{Grey: true}, "-1:7 -1:76", [3]int{2, 2, 1}, nil},
		{"scaled", map[string][]byte{"1.png": flat(t, 9, 2, 7), "2.png": flat(t, 3, 3, 8)}, dataset.Options{Height: 4, Width: 5}, "-1:7 -1:8", [3]int{4, 5, 1}, nil},
		{"one side given", map[string][]byte{"1.png": flat(t, 9, 2, 7)}, dataset.Options{Width: 5}, "-1:7", [3]int{5, 5, 1}, nil},
		{"splits", map[string][]byte{"train/a/1.png": flat(t, 1, 1, 1), "test/a/1.png": flat(t, 1, 1, 2), "val/a/1.png": flat(t, 1, 1, 3)}, dataset.Options{Split: "test"}, "0:2", [3]int{1, 1, 1}, []string{"a"}},
		{"a class called train", map[string][]byte{"train/1.png": flat(t, 1, 1, 1), "car/1.png": flat(t, 1, 1, 2)}, dataset.Options{}, "0:2 1:1", [3]int{1, 1, 1}, []string{"car", "train"}},
		{"dataset.json", map[string][]byte{"00000/a.png": flat(t, 1, 1, 1), "00000/b.png": flat(t, 1, 1, 2), "dataset.json": []byte(`{"labels":[["00000/a.png",2],["00000/b.png",0]]}`)},
			dataset.Options{}, "2:1 0:2", [3]int{1, 1, 1}, []string{"0", "1", "2"}},
		{"dataset.json without labels", map[string][]byte{"00000/a.png": flat(t, 1, 1, 1), "dataset.json": []byte(`{"labels":null}`)}, dataset.Options{}, "-1:1", [3]int{1, 1, 1}, nil},
	} {
		dir := tree(t, c.files)
		for _, limit := range []int64{0, 1} { // in memory, and from the files
			c.o.MaxBytes = limit
			d, err := dataset.Open(dir, c.o)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			h, w, ch := d.Size()
			if got := content(t, d); got != c.content || [3]int{h, w, ch} != c.size || !slices.Equal(d.ClassNames(), c.classes) || d.Labels() != len(c.classes) {
				t.Errorf("%s: %s, %d×%d×%d, %q; want %s, %v, %q", c.name, got, h, w, ch, d.ClassNames(), c.content, c.size, c.classes)
			}
			dst := make([]uint8, h*w*ch)
			for _, i := range []int{-1, d.Len()} {
				if _, err := d.Get(i, dst); err == nil {
					t.Errorf("%s: picture %d gave no error", c.name, i)
				}
			}
			if _, err := d.Get(0, dst[1:]); err == nil {
				t.Errorf("%s: a short slice gave no error", c.name)
			}
		}
	}
}

func TestFolderErrors(t *testing.T) {
	ok := flat(t, 2, 2, 1)
	for _, c := range []struct {
		files map[string][]byte
		o     dataset.Options
		want  []string
	}{
		{map[string][]byte{"notes.txt": nil}, dataset.Options{}, []string{"no pictures", ".jpeg"}},
		{map[string][]byte{"a.png": ok, "b.png": flat(t, 3, 2, 1)}, dataset.Options{}, []string{"1 of 2×2, such as a.png", "1 of 3×2, such as b.png", "height and width"}},
		{map[string][]byte{"a.png": ok, "k/b.png": ok, "l/b.png": ok}, dataset.Options{}, []string{"1 pictures", "2 more"}},
		{map[string][]byte{"a.png": ok, "b.png": ok[:50]}, dataset.Options{}, []string{"b.png", "unexpected EOF"}},
		{map[string][]byte{"a.png": ok, "b.png": []byte("text")}, dataset.Options{}, []string{"b.png", "not a PNG"}},
		{map[string][]byte{"a.png": ok[:50], "b.png": ok[:51]}, dataset.Options{SkipBad: true}, []string{"none of the 2"}},
		{map[string][]byte{"a.png": ok}, dataset.Options{MaxPixels: 3}, []string{"a.png", "2×2", "3"}},
		{map[string][]byte{"a.png": ok}, dataset.Options{Split: "dev"}, []string{`"dev"`, "train or test"}},
		{map[string][]byte{"a.png": ok}, dataset.Options{Height: -1}, []string{"out of range"}},
		{map[string][]byte{"train/a.png": ok}, dataset.Options{Split: "test"}, []string{"train", "no test"}},
		{map[string][]byte{"cat/a.png": ok, "test/a.png": ok}, dataset.Options{Split: "test"}, []string{"no parts"}},
		{map[string][]byte{"a.png": ok, "dataset.json": []byte(`{"labels":[["b.png",1]]}`)}, dataset.Options{}, []string{"no label for a.png"}},
		{map[string][]byte{"a.png": ok, "dataset.json": []byte(`{"labels":[["a.png",1.5]]}`)}, dataset.Options{}, []string{"dataset.json", "1.5"}},
		{map[string][]byte{"a.png": ok, "dataset.json": []byte(`{`)}, dataset.Options{}, []string{"dataset.json", "EOF"}},
	} {
		dir := tree(t, c.files)
		_, err := dataset.Open(dir, c.o)
		for _, part := range append(c.want, dir) {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("error %v does not say %q", err, part)
			}
		}
	}
	_, err := dataset.Open(filepath.Join(t.TempDir(), "none"), dataset.Options{})
	if err == nil || strings.Count(err.Error(), "none") != 1 {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestSkipBad(t *testing.T) {
	files := map[string][]byte{}
	for i := range 40 {
		b := flat(t, 4, 4, uint8(i))
		switch {
		case i%10 == 3:
			b = b[:len(b)-20] // a sound header, data cut short
		case i == 15:
			b = nil
		}
		files[fmt.Sprintf("%d/%02d.png", i%2, i)] = b
	}
	dir := tree(t, files)
	if _, err := dataset.Open(dir, dataset.Options{}); err == nil || !strings.Contains(err.Error(), "15.png") {
		t.Errorf("without SkipBad: %v", err)
	}
	var first string
	for _, limit := range []int64{0, 1} {
		var said []string
		d, err := dataset.Open(dir, dataset.Options{SkipBad: true, MaxBytes: limit, Warn: func(s string) { said = append(said, s) }})
		if err != nil {
			t.Fatal(err)
		}
		got := content(t, d)
		if first == "" {
			first = got
		}
		if d.Len() != 35 || d.Labels() != 2 || got != first || strings.Contains(got, ":3 ") || !strings.HasPrefix(got, "0:0 0:2 0:4") {
			t.Errorf("%d pictures: %s", d.Len(), got)
		}
		all := strings.Join(said, "\n")
		if len(said) != 6 || !strings.Contains(all, "03.png") || said[5] != "skipped 5 of 40 pictures that cannot be decoded" {
			t.Errorf("said %q", said)
		}
	}
}

// TestSkipBadKinds: whatever keeps a picture from being decoded, SkipBad leaves it out, names it and counts it; without
// it the picture is named in the error.
func TestSkipBadKinds(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"more pixels than allowed": func(path string) error { return os.WriteFile(path, flat(t, 9, 9, 1), 0o666) },
		"a header that claims 65535²": func(path string) error {
			return os.WriteFile(path, []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00"), 0o666)
		},
		"a link that leads nowhere": func(path string) error { return os.Symlink("gone.png", path) },
		"a link to itself":          func(path string) error { return os.Symlink(filepath.Base(path), path) },
	} {
		dir := tree(t, map[string][]byte{"b.png": flat(t, 2, 2, 7)})
		if err := spoil(filepath.Join(dir, "a.png")); err != nil {
			if runtime.GOOS == "windows" {
				continue // links need a privilege there
			}
			t.Fatal(err)
		}
		if _, err := dataset.Open(dir, dataset.Options{MaxPixels: 80}); err == nil || !strings.Contains(err.Error(), "a.png") {
			t.Errorf("%s: error %v does not name a.png", name, err)
		}
		var said []string
		d, err := dataset.Open(dir, dataset.Options{MaxPixels: 80, SkipBad: true, Warn: func(s string) { said = append(said, s) }})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d.Len() != 1 || len(said) != 2 || !strings.Contains(said[0], "a.png") || said[1] != "skipped 1 of 2 pictures that cannot be decoded" {
			t.Errorf("%s: %d pictures, said %q", name, d.Len(), said)
		}
	}
}

// TestBrokenLinks: a link beside the pictures that leads nowhere is nobody's business, unless it is called dataset.json:
// then the classes would silently be others.
func TestBrokenLinks(t *testing.T) {
	dir := tree(t, map[string][]byte{"x/b.png": flat(t, 2, 2, 7)})
	if err := os.Symlink("gone", filepath.Join(dir, "notes.txt")); err != nil {
		if runtime.GOOS == "windows" {
			t.Skip("no privilege to make links: ", err)
		}
		t.Fatal(err)
	}
	if d, err := dataset.Open(dir, dataset.Options{}); err != nil || d.Len() != 1 {
		t.Errorf("a dangling link to no picture: %v", err)
	}
	class := filepath.Join(dir, "y")
	if err := os.Symlink("unmounted", class); err != nil {
		t.Fatal(err)
	}
	if _, err := dataset.Open(dir, dataset.Options{SkipBad: true}); err == nil || !strings.Contains(err.Error(), class) {
		t.Errorf("a link to a class that is gone: %v", err)
	}
	os.Remove(class)
	if err := os.Symlink("dataset.json", filepath.Join(dir, "dataset.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := dataset.Open(dir, dataset.Options{}); err == nil || !strings.Contains(err.Error(), "dataset.json") {
		t.Errorf("a dataset.json that cannot be opened: %v", err)
	}
}

func Example() {
	// The order of the first two epochs of a set of five pictures under seed 42.
	fmt.Println(dataset.Permutation(42, 0, 5))
	fmt.Println(dataset.Permutation(42, 1, 5))
	// Output:
	// [1 4 2 3 0]
	// [2 1 3 0 4]
}
