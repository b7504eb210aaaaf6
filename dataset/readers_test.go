package dataset_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"diffuse/dataset"
)

// archive makes a zip archive of files, in the order of their names.
func archive(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range sorted(files) {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(files[name])
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tarball makes a gzipped tar archive of files.
func tarball(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range sorted(files) {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(files[name])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		w.Write(files[name])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped(b.Bytes())
}

func sorted(files map[string][]byte) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// A hubRow is a picture as Hugging Face's library stores it.
type hubRow struct {
	Image struct {
		Bytes []byte `parquet:"bytes,optional"`
		Path  string `parquet:"path,optional"`
	} `parquet:"image,optional"`
	Label *int64 `parquet:"label,optional"`
}

const hubFeatures = `{"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}`

// table makes a parquet file in groups of two rows, the picture of row i flat of value first+i and of class i mod 2.
func table(t testing.TB, first, n int, features string) []byte {
	t.Helper()
	rows := make([]hubRow, n)
	for i := range rows {
		rows[i].Image.Bytes, rows[i].Image.Path, rows[i].Label = flat(t, 2, 2, uint8(first+i)), "x.png", new(int64(i%2))
	}
	return written(t, rows, parquet.KeyValueMetadata("huggingface", features), parquet.MaxRowsPerRowGroup(2), parquet.Compression(&parquet.Snappy))
}

func written[T any](t testing.TB, rows []T, o ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, o...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// cifarPlanes is a picture whose channels are v, v+1, v+2.
func cifarPlanes(v uint8) []byte {
	return slices.Concat(bytes.Repeat([]byte{v}, 1024), bytes.Repeat([]byte{v + 1}, 1024), bytes.Repeat([]byte{v + 2}, 1024))
}

// cifarBatch is a batch as Python 2 pickled it: {"data": array of bytes N×3072, key: list of class numbers}.
func cifarBatch(key string, labels ...byte) []byte {
	b := []byte("\x80\x02}q\x01(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01")
	b = append(b, 'K', byte(len(labels)), 'M', 0, 12, 0x86) // shape (N, 3072)
	b = append(b, "cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(3072*len(labels)))
	for _, label := range labels {
		b = append(b, cifarPlanes(10*label)...)
	}
	b = append(append(append(b, "tbU"...), byte(len(key))), key...)
	b = append(b, "](" /* list */ ...)
	for _, label := range labels {
		b = append(b, 'K', label)
	}
	return append(b, "eu."...)
}

// cifarMeta is {key: names}, pickled.
func cifarMeta(key string, names ...string) []byte {
	b := append([]byte("\x80\x02}U"), byte(len(key)))
	b = append(append(b, key...), "](" /* list */ ...)
	for _, name := range names {
		b = append(append(b, 'U', byte(len(name))), name...)
	}
	return append(b, "es."...)
}

// cifarFiles returns the four published forms of a set of CIFAR's kind: pictures of class 1 and 0 to learn, 1 to test.
func cifarFiles() map[string]map[string][]byte {
	record := func(head ...byte) []byte { return append(head, cifarPlanes(10*head[len(head)-1])...) }
	binary10 := map[string][]byte{"test_batch.bin": record(1), "batches.meta.txt": []byte("cat\ndog\n\n")}
	python10 := map[string][]byte{"test_batch": cifarBatch("labels", 1), "batches.meta": cifarMeta("label_names", "cat", "dog")}
	for i := range 5 {
		binary10[fmt.Sprintf("data_batch_%d.bin", i+1)], python10[fmt.Sprintf("data_batch_%d", i+1)] = nil, cifarBatch("labels")
	}
	binary10["data_batch_2.bin"] = append(record(1), record(0)...)
	python10["data_batch_2"] = cifarBatch("labels", 1, 0)
	return map[string]map[string][]byte{
		"cifar-10-batches-bin": binary10, "cifar-10-batches-py": python10,
		"cifar-100-binary": {"train.bin": append(record(7, 1), record(3, 0)...), "test.bin": record(9, 1), "fine_label_names.txt": []byte("cat\r\ndog\r\n"), "coarse_label_names.txt": nil},
		"cifar-100-python": {"train": cifarBatch("fine_labels", 1, 0), "test": cifarBatch("fine_labels", 1), "meta": cifarMeta("fine_label_names", "cat", "dog")},
	}
}

// under puts files into a folder.
func under(folder string, files map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	for name, b := range files {
		out[folder+"/"+name] = b
	}
	return out
}

// TestCIFAR reads the four forms from a folder, from the folder above it, from a tar archive and from a zip archive, in both parts.
func TestCIFAR(t *testing.T) {
	for folder, files := range cifarFiles() {
		dir := tree(t, map[string][]byte{"a.tgz": tarball(t, under(folder, files)), "a.zip": archive(t, under(folder, files))})
		above := tree(t, under(folder, files))
		for _, path := range []string{above, filepath.Join(above, folder), filepath.Join(dir, "a.tgz"), filepath.Join(dir, "a.zip")} {
			for split, want := range map[string]string{"train": "1:10 0:0", "test": "1:10"} {
				d, err := dataset.Open(path, dataset.Options{Split: split})
				if err != nil {
					t.Errorf("%s, %s: %v", folder, filepath.Base(path), err)
					continue
				}
				h, w, c := d.Size()
				if got := content(t, d); got != want || h != 32 || w != 32 || c != 3 || !slices.Equal(d.ClassNames(), []string{"cat", "dog"}) {
					t.Errorf("%s, %s: %s of %d×%d×%d, classes %q; want %s", folder, filepath.Base(path), got, h, w, c, d.ClassNames(), want)
				}
				pix := make([]uint8, 3072)
				if d.Get(0, pix); !slices.Equal(pix[:3], []uint8{10, 11, 12}) || !slices.Equal(pix[3069:], []uint8{10, 11, 12}) {
					t.Errorf("%s: the first picture starts %v", folder, pix[:3])
				}
			}
		}
		d, err := dataset.Open(above, dataset.Options{Height: 8, Grey: true})
		if err != nil || content(t, d) != "1:11 0:1" {
			t.Errorf("%s, scaled and grey: %v", folder, err)
		}
	}
}

func TestCIFARErrors(t *testing.T) {
	good := cifarFiles()
	change := func(folder, name string, b []byte) map[string][]byte {
		files := map[string][]byte{}
		for k, v := range good[folder] {
			files[k] = v
		}
		if files[name] = b; b == nil {
			delete(files, name)
		}
		return files
	}
	for _, c := range []struct {
		files map[string][]byte
		want  string
	}{
		{change("cifar-10-batches-bin", "data_batch_4.bin", nil), "data_batch_4.bin"},
		{change("cifar-10-batches-bin", "data_batch_4.bin", make([]byte, 3000)), "3000 bytes are no multiple of 3073"},
		{change("cifar-10-batches-bin", "batches.meta.txt", []byte("cat\n")), "class 1, but batches.meta.txt names 1"},
		{change("cifar-10-batches-py", "data_batch_4", []byte("\x80\x02cos\nsystem\nU\x02ls\x85R.")), "refused: it names os.system"},
		{change("cifar-10-batches-py", "data_batch_4", cifarBatch("fine_labels", 1)), "labels is not a list"},
		{change("cifar-10-batches-py", "data_batch_4", cifarMeta("labels")), "data is not an array"},
		{change("cifar-100-python", "meta", cifarMeta("names", "cat", "dog")), "fine_label_names is not a list"},
	} {
		path := filepath.Join(t.TempDir(), "a.tar.gz")
		if err := os.WriteFile(path, tarball(t, c.files), 0o666); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{path, tree(t, c.files)} {
			if _, err := dataset.Open(path, dataset.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v does not say %q", filepath.Base(path), err, c.want)
			}
		}
	}
	other := filepath.Join(t.TempDir(), "a.tar.gz")
	if err := os.WriteFile(other, tarball(t, map[string][]byte{"a/1.png": flat(t, 1, 1, 1)}), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := dataset.Open(other, dataset.Options{}); err == nil || !strings.Contains(err.Error(), "pack its folder as zip") {
		t.Errorf("another tar archive: %v", err)
	}
}

// TestZip: an archive is read as its folder is, a top folder of the set's name apart, and no name in it leads anywhere else.
func TestZip(t *testing.T) {
	one, two := flat(t, 1, 1, 1), flat(t, 1, 1, 2)
	for _, c := range []struct {
		name    string
		files   map[string][]byte
		o       dataset.Options
		content string
		classes []string
	}{
		{"classes", map[string][]byte{"b/1.png": one, "a/2.png": two, "__MACOSX/a/2.png": {}, "README": {}}, dataset.Options{}, "0:2 1:1", []string{"a", "b"}},
		{"a top folder", map[string][]byte{"set/b/1.png": one, "set/a/2.png": two}, dataset.Options{}, "0:2 1:1", []string{"a", "b"}},
		{"no classes", map[string][]byte{"1.png": one, "2.png": two}, dataset.Options{}, "-1:1 -1:2", nil},
		{"EDM", map[string][]byte{"00000/img00000000.png": one, "00000/img00000001.png": two, "dataset.json": []byte(`{"labels":[["00000/img00000000.png",1],["00000/img00000001.png",0]]}`)},
			dataset.Options{}, "1:1 0:2", []string{"0", "1"}},
		{"EDM with class names, a top folder", map[string][]byte{"set/00000/a.png": one, "set/dataset.json": []byte(`{"labels":[["00000/a.png",1]],"class_names":["cat","dog"]}`)},
			dataset.Options{}, "1:1", []string{"cat", "dog"}},
		{"parts", map[string][]byte{"train/a/1.png": one, "test/a/2.png": two}, dataset.Options{Split: "test"}, "0:2", []string{"a"}},
		{"parts below a top folder", map[string][]byte{"set/train/a/1.png": one, "set/test/a/2.png": two}, dataset.Options{Split: "test"}, "0:2", []string{"a"}},
		{"names that lead out", map[string][]byte{"../../a/1.png": one, "/b/2.png": two}, dataset.Options{}, "0:1 1:2", []string{"a", "b"}},
	} {
		path := filepath.Join(t.TempDir(), "set") // known by its content
		if err := os.WriteFile(path, archive(t, c.files), 0o666); err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int64{0, 1} {
			c.o.MaxBytes = limit
			d, err := dataset.Open(path, c.o)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			if got := content(t, d); got != c.content || !slices.Equal(d.ClassNames(), c.classes) {
				t.Errorf("%s: %s, %q; want %s, %q", c.name, got, d.ClassNames(), c.content, c.classes)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "set.zip")
	bad := archive(t, map[string][]byte{"a/1.png": one, "a/2.png": two[:40], "a/3.png": two})
	if err := os.WriteFile(path, bad, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := dataset.Open(path, dataset.Options{}); !errors.Is(err, dataset.ErrUnreadable) || !strings.Contains(err.Error(), filepath.Join(path, "a/2.png")) {
		t.Errorf("a spoiled picture: %v", err)
	}
	var skipped []string
	d, err := dataset.Open(path, dataset.Options{SkipBad: true, Skipped: func(name string, err error) { skipped = append(skipped, name) }})
	if err != nil || content(t, d) != "0:1 0:2" || !slices.Equal(skipped, []string{"a/2.png"}) || d.(interface{ Name(int) string }).Name(1) != "a/3.png" {
		t.Errorf("spoiled pictures skipped: %v, %q", err, skipped)
	}
}

// TestMetadata reads the labels of Hugging Face's imagefolder.
func TestMetadata(t *testing.T) {
	pictures := map[string][]byte{"1.png": flat(t, 1, 1, 1), "2.png": flat(t, 1, 1, 2), "x/3.png": flat(t, 1, 1, 3)}
	for _, c := range []struct {
		lines   string
		content string
		classes []string
		err     string
	}{
		{`{"file_name": "2.png", "label": 0}` + "\n" + `{"file_name": "1.png", "text": "hi", "label": 2}` + "\n\n" + `{"file_name": "x/3.png", "label": 1}`, "2:1 0:2 1:3", []string{"0", "1", "2"}, ""},
		{`{"file_name": "2.png", "label": "dog"}` + "\n" + `{"file_name": "1.png", "label": "cat"}` + "\n" + `{"file_name": "x/3.png", "label": "dog"}`, "0:1 1:2 1:3", []string{"cat", "dog"}, ""},
		{`{"file_name": "2.png", "text": "hi"}`, "", nil, "which class are they"},
		{`{"file_name": "2.png", "label": 0}`, "", nil, "no label for 1.png"},
		{`{"file_name": "1.png", "label": 0.5}`, "", nil, "the label of 1.png is 0.5"},
		{`{"file_name": "1.png", "label": [1]}`, "", nil, "neither a number nor a name"},
		{`{"file_name": "1.png", "label": 1}` + "\n" + `{"file_name": "2.png", "label": "a"}` + "\n" + `{"file_name": "x/3.png", "label": 1}`, "", nil, "some are names"},
		{`{"label": 0}`, "", nil, "line 1 has no file_name"},
		{"\n{", "", nil, "line 2"},
	} {
		files := map[string][]byte{"metadata.jsonl": []byte(c.lines)}
		for name, b := range pictures {
			files[name] = b
		}
		d, err := dataset.Open(tree(t, files), dataset.Options{})
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v does not say %q", c.lines, err, c.err)
			}
			continue
		}
		if err != nil || content(t, d) != c.content || !slices.Equal(d.ClassNames(), c.classes) {
			t.Errorf("%s: %v, %v", c.lines, d, err)
		}
	}
}

// TestParquet reads one file and many shards, from memory and from the temporary copy.
func TestParquet(t *testing.T) {
	shards := map[string][]byte{
		"data/train-00000-of-00002.parquet": table(t, 0, 5, hubFeatures), "data/train-00001-of-00002.parquet": table(t, 5, 2, hubFeatures),
		"data/test-00000-of-00001.parquet": table(t, 9, 1, hubFeatures), "README.md": nil,
	}
	dir := tree(t, shards)
	const all = "0:0 1:1 0:2 1:3 0:4 0:5 1:6"
	names := []string{"cat", "dog"}
	for _, limit := range []int64{0, 1, 200} {
		for path, want := range map[string]string{dir: all, filepath.Join(dir, "data/train-00000-of-00002.parquet"): "0:0 1:1 0:2 1:3 0:4"} {
			d, err := dataset.Open(path, dataset.Options{MaxBytes: limit})
			if err != nil {
				t.Fatal(err)
			}
			if got := content(t, d); got != want || !slices.Equal(d.ClassNames(), names) {
				t.Errorf("at most %d bytes: %s, %q; want %s", limit, got, d.ClassNames(), want)
			}
		}
	}
	if d, err := dataset.Open(dir, dataset.Options{Split: "test"}); err != nil || content(t, d) != "0:9" {
		t.Errorf("test part: %v", err)
	}
	plain := tree(t, map[string][]byte{"a.parquet": table(t, 0, 3, "not JSON")})
	if d, err := dataset.Open(plain, dataset.Options{}); err != nil || content(t, d) != "0:0 1:1 0:2" || d.ClassNames()[1] != "1" {
		t.Errorf("without a description: %v", err)
	}
	if _, err := dataset.Open(plain, dataset.Options{Split: "test"}); err == nil || !strings.Contains(err.Error(), "no parts") {
		t.Errorf("a part of shards without: %v", err)
	}
}

// TestParquetColumns: which columns count, and what is refused.
// TestParquetBombs: rows without pictures take next to no bytes, and a page may claim any number of values.
func TestParquetBombs(t *testing.T) {
	for n, want := range map[int]string{20_000: "with more than", 1<<22 + 1: "values, more than 4194304"} {
		b := written(t, make([]hubRow, n), parquet.PageBufferSize(1<<30), parquet.Compression(&parquet.Snappy))
		path := filepath.Join(t.TempDir(), "a.parquet")
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := dataset.Open(path, dataset.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d rows in %d bytes: %v, want %q", n, len(b), err, want)
		}
	}
}

func TestParquetColumns(t *testing.T) {
	type words struct {
		Noise int64  `parquet:"id"`
		Img   []byte `parquet:"img"`
		Class string `parquet:"class"`
	}
	type fine struct {
		Img struct {
			Bytes []byte `parquet:"bytes"`
		} `parquet:"img"`
		Fine   int32 `parquet:"fine_label"`
		Coarse int32 `parquet:"coarse_label"`
	}
	picture := flat(t, 1, 1, 8)
	fines := make([]fine, 2)
	for i := range fines {
		fines[i].Img.Bytes, fines[i].Fine, fines[i].Coarse = picture, int32(1-i), 5
	}
	lost := make([]hubRow, 2)
	lost[0].Image.Bytes, lost[0].Label, lost[1].Image.Path, lost[1].Label = picture, new(int64(0)), "elsewhere.png", new(int64(1))
	many := []hubRow{{Label: new(int64(2))}}
	many[0].Image.Bytes = picture
	for name, c := range map[string]struct {
		file    []byte
		o       dataset.Options
		content string
		err     string
	}{
		"names, pictures without a group":     {written(t, []words{{1, picture, "dog"}, {2, picture, "cat"}}), dataset.Options{}, "1:8 0:8", ""},
		"fine labels":                         {written(t, fines), dataset.Options{}, "1:8 0:8", ""},
		"a class without a name in the table": {written(t, many, parquet.KeyValueMetadata("huggingface", hubFeatures)), dataset.Options{}, "", "class 2, but the table names 2"},
		"a picture that lies elsewhere":       {written(t, lost), dataset.Options{}, "", "#1 holds no bytes"},
		"the same, skipped":                   {written(t, lost), dataset.Options{SkipBad: true}, "0:8", ""},
		"no pictures":                         {written(t, []struct{ A int64 }{{1}}), dataset.Options{}, "", "no column of pictures"},
		"no rows":                             {written(t, []words{}), dataset.Options{}, "", "holds no pictures"},
		"cut short":                           {written(t, fines)[:100], dataset.Options{}, "", "a.parquet"},
	} {
		path := filepath.Join(t.TempDir(), "a.parquet")
		if err := os.WriteFile(path, c.file, 0o666); err != nil {
			t.Fatal(err)
		}
		d, err := dataset.Open(path, c.o)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v does not say %q", name, err, c.err)
			}
			continue
		}
		if err != nil || content(t, d) != c.content {
			t.Errorf("%s: %v", name, err)
		}
	}
}
