package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// openParquet reads tables of pictures as Hugging Face stores them: a column of groups {bytes, path} and perhaps one of class numbers or
// names. The encoded pictures are copied out of their compressed pages once: into memory up to o.MaxBytes, then to an unnamed temporary file.
func openParquet(root string, shards []string, o Options) (Dataset, error) {
	t := &tables{limit: o.MaxBytes}
	d := &encoded{read: o, open: t.open, path: func(f *file) string { return filepath.Join(root, filepath.FromSlash(f.name)) }}
	var err error
	for i, name := range shards {
		path := root
		if name != "" {
			path = filepath.Join(root, filepath.FromSlash(name))
		} else {
			name = filepath.Base(root)
			d.path = func(f *file) string { return f.name }
		}
		if err = t.read(path, name); err != nil {
			break
		}
		o.Progress(i+1, len(shards))
	}
	if err != nil {
		t.close()
		return nil, err
	}
	if d.files = t.files; len(d.files) == 0 {
		return nil, errEmpty
	}
	classes, err := t.classes()
	if err != nil {
		t.close()
		return nil, err
	}
	set, err := d.prepare(classes)
	if _, ok := set.(*memory); ok || err != nil {
		t.close()
	}
	return set, err
}

// partOf chooses the shards of a part by their names, such as data/train-00000-of-00005.parquet or test/0000.parquet. Shards
// that name no part are all of the training set.
func partOf(shards []string, split string) ([]string, error) {
	parts := map[string][]string{}
	for _, shard := range shards {
		part := ""
		for piece := range strings.SplitSeq(shard, "/") {
			word := piece[:len(piece)-len(strings.TrimLeft(piece, "abcdefghijklmnopqrstuvwxyz"))]
			if slices.Contains(splitNames, word) {
				part = word
			}
		}
		parts[part] = append(parts[part], shard)
	}
	if own := parts[split]; len(own) > 0 {
		return own, nil
	}
	if loose := parts[""]; len(loose) > 0 {
		return loose, noParts(split)
	}
	var names []string
	for name := range parts {
		names = append(names, name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("holds the splits %s, but no %s", strings.Join(names, ", "), split)
}

// tables collects the rows of shards.
type tables struct {
	files       []file
	kept, limit int64 // bytes of encoded pictures in memory, and how many may be
	spool       *os.File
	end         int64    // of spool, where the other pictures are
	names       []string // of the classes, where the shards say them
	words       []string // class names per picture, where they are that
}

func (t *tables) close() {
	if t.spool != nil {
		t.spool.Close()
	}
}

// open returns the encoded picture of a file.
func (t *tables) open(f *file) (io.ReadCloser, error) {
	switch {
	case f.body != nil:
		return io.NopCloser(bytes.NewReader(f.body)), nil
	case f.size > 0:
		return io.NopCloser(io.NewSectionReader(t.spool, f.at, f.size)), nil
	}
	return nil, fmt.Errorf("%s holds no bytes of a picture", f.name)
}

// read adds the rows of the shard at path.
func (t *tables) read(path, name string) (err error) {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return err
	}
	defer func() { // the library trusts some numbers in a file
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: not a sound parquet file: %v", name, p)
		}
	}()
	f, err := parquet.OpenFile(r, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c, err := chooseColumns(f)
	if err == nil {
		err = t.rows(f, c, name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if t.names == nil {
		t.names = c.names
	}
	return nil
}

// rows reads all rows of a shard.
func (t *tables) rows(f *parquet.File, c columns, name string) error {
	before := len(t.files)
	for g, group := range f.RowGroups() {
		first := len(t.files)
		if declared := f.Metadata().RowGroups[g].Columns[c.image.Index()].MetaData.TotalUncompressedSize; declared > maxUnpacking*f.Size()+maxEncoded {
			return fmt.Errorf("a file of %d bytes claims to unpack to %d: refused as a decompression bomb", f.Size(), declared)
		}
		for _, column := range []*parquet.Column{c.image, c.label} {
			if column == nil {
				continue
			}
			if err := checkPages(f, g, column); err != nil {
				return err
			}
		}
		err := eachValue(group, c.image, func(v parquet.Value) error {
			row := file{name: fmt.Sprintf("%s#%d", name, len(t.files)-first), label: -1}
			if g > 0 {
				row.name = fmt.Sprintf("%s#%d.%d", name, g, len(t.files)-first)
			}
			if !v.IsNull() { // else the picture was left where it lay, under a path that need not exist here
				if err := t.add(&row, v.ByteArray()); err != nil {
					return err
				}
			}
			if t.files = append(t.files, row); int64(len(t.files)-before) > f.Size()/leastRow {
				return fmt.Errorf("a file of %d bytes with more than %d rows", f.Size(), f.Size()/leastRow)
			}
			return nil
		})
		if err != nil {
			return err
		}
		at := first
		if c.label == nil {
			continue
		}
		err = eachValue(group, c.label, func(v parquet.Value) error {
			if at == len(t.files) {
				return fmt.Errorf("column %s has more rows than the pictures", c.label.Name())
			}
			at++
			return t.label(at-1, v)
		})
		if err != nil {
			return err
		}
		if at != len(t.files) {
			return fmt.Errorf("column %s has %d rows for %d pictures", c.label.Name(), at-first, len(t.files)-first)
		}
	}
	return nil
}

// add keeps an encoded picture.
func (t *tables) add(f *file, b []byte) error {
	n := int64(len(b))
	if t.spool == nil && t.kept+n <= t.limit {
		t.kept += n
		f.body = bytes.Clone(b)
		return nil
	}
	if t.spool == nil {
		var err error
		if t.spool, err = os.CreateTemp("", "diffuse-pictures-*"); err != nil {
			return err
		}
		os.Remove(t.spool.Name()) // where that is refused for open files, it stays until the system's next cleaning
	}
	f.at, f.size = t.end, n
	t.end += n
	if _, err := t.spool.Write(b); err != nil {
		return fmt.Errorf("copying pictures that exceed the memory for them to a temporary file: %w (the environment variable TMPDIR chooses its folder)", err)
	}
	return nil
}

// label notes the class of picture i.
func (t *tables) label(i int, v parquet.Value) error {
	switch {
	case v.IsNull():
		t.files[i].label = -1
	case v.Kind() == parquet.ByteArray:
		for len(t.words) < i {
			t.words = append(t.words, "")
		}
		t.words = append(t.words, string(v.ByteArray()))
	default:
		n := v.Int64()
		if v.Kind() == parquet.Int32 {
			n = int64(v.Int32())
		}
		if n < -1 || n >= maxLabels {
			return fmt.Errorf("row %d is of class %d", i, n)
		}
		t.files[i].label = int(n)
	}
	return nil
}

// classes names the classes. A set with pictures of no class counts as unlabelled, as one in npz does.
func (t *tables) classes() ([]string, error) {
	if t.words != nil {
		if len(t.words) < len(t.files) || slices.Contains(t.words, "") {
			return nil, nil
		}
		return number(t.files, t.words), nil
	}
	top := -1
	for _, f := range t.files {
		if f.label < 0 {
			return nil, nil
		}
		top = max(top, f.label)
	}
	if t.names == nil {
		return classNames("", top+1, 0, 0), nil
	}
	if top >= len(t.names) {
		return nil, fmt.Errorf("a picture is of class %d, but the table names %d", top, len(t.names))
	}
	return t.names, nil
}

// columns are the two of a table that count.
type columns struct {
	image, label *parquet.Column // label may be nil
	names        []string        // of the classes
}

// chooseColumns finds pictures and classes by the description that Hugging Face's library stores, else by name.
func chooseColumns(f *parquet.File) (c columns, err error) {
	var hub struct {
		Info struct {
			Features map[string]struct {
				Type  string          `json:"_type"`
				Names json.RawMessage `json:"names"`
			} `json:"features"`
		} `json:"info"`
	}
	if text, ok := f.Lookup("huggingface"); ok {
		json.Unmarshal([]byte(text), &hub) // of other shape, it says nothing
	}
	features := hub.Info.Features
	var images, labels []*parquet.Column
	for _, leaf := range leaves(f.Root()) {
		kind, at := leaf.Type().Kind(), leaf.Path()
		name, group := at[0], len(at) == 2 && at[1] == "bytes"
		switch {
		case leaf.MaxRepetitionLevel() > 0:
		case kind == parquet.ByteArray && (group || len(at) == 1 && (features[name].Type == "Image" || slices.Contains([]string{"image", "img"}, name))):
			images = append(images, leaf)
		case len(at) == 1 && (kind == parquet.Int64 || kind == parquet.Int32 || kind == parquet.ByteArray) &&
			(features[name].Type == "ClassLabel" || slices.Contains([]string{"label", "labels", "fine_label", "class"}, name)):
			labels = append(labels, leaf)
		}
	}
	if c.image = preferred(images, "image", "img"); c.image == nil {
		return c, errors.New("no column of pictures (a group with bytes, as Hugging Face stores them)")
	}
	if c.label = preferred(labels, "label", "labels", "fine_label", "class"); c.label != nil {
		json.Unmarshal(features[c.label.Name()].Names, &c.names) // absent for plain numbers
	}
	return c, nil
}

// leaves lists the columns of values below a node.
func leaves(c *parquet.Column) []*parquet.Column {
	if c.Leaf() {
		return []*parquet.Column{c}
	}
	var all []*parquet.Column
	for _, inner := range c.Columns() {
		all = append(all, leaves(inner)...)
	}
	return all
}

// preferred returns the column of the first name that is there, else the first column, nil if there is none.
func preferred(all []*parquet.Column, names ...string) *parquet.Column {
	for _, name := range names {
		for _, c := range all {
			if c.Path()[0] == name {
				return c
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// eachValue calls f for the values of a column in a group of rows; a value is valid during its call.
func eachValue(group parquet.RowGroup, c *parquet.Column, f func(v parquet.Value) error) error {
	pages := group.ColumnChunks()[c.Index()].Pages()
	defer pages.Close()
	values := make([]parquet.Value, 64)
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", path.Join(c.Path()...), err)
		}
		for r := page.Values(); err == nil; {
			var n int
			n, err = r.ReadValues(values)
			for _, v := range values[:n] {
				if err := f(v); err != nil {
					return err
				}
			}
		}
		parquet.Release(page)
		if err != io.EOF {
			return fmt.Errorf("column %s: %w", path.Join(c.Path()...), err)
		}
	}
}
