package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"diffuse/imageio"
)

// folder is a set of picture files, decoded when asked for.
type folder struct {
	info
	root      string
	files     []file
	maxPixels int
}

// file is one picture.
type file struct {
	name  string // relative to the root, with slashes
	label int
	h, w  int
	grey  bool
}

func (d *folder) Get(i int, dst []uint8) (int, error) {
	label, err := d.check(i, dst)
	if err != nil {
		return label, err
	}
	m, err := imageio.DecodeFile(d.path(i), d.maxPixels)
	if err != nil {
		return label, unreadable{err}
	}
	copy(dst, m.Convert(d.c).Cover(d.h, d.w).Pix)
	return label, nil
}

func (d *folder) path(i int) string {
	return filepath.Join(d.root, filepath.FromSlash(d.files[i].name))
}

// openFolder lists the pictures below root, reads their headers, settles size and channels, and decodes them if they fit.
func openFolder(root string, o Options) (Dataset, error) {
	root, err := splitFolder(root, o.Split)
	if err != nil {
		return nil, err
	}
	names, err := list(root, "", nil, 0)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w (%s)", errEmpty, strings.Join(imageio.Extensions(), ", "))
	}
	slices.Sort(names)
	d := &folder{root: root, maxPixels: pixelLimit(o), files: make([]file, len(names))}
	for i, name := range names {
		d.files[i].name = name
	}
	classes, err := d.classify()
	if err != nil {
		return nil, err
	}
	bad := make([]error, len(d.files))
	if err := d.each(bad, o.SkipBad, d.readHeader); err != nil {
		return nil, err
	}
	d.drop(bad, o)
	if len(d.files) == 0 {
		return nil, fmt.Errorf("none of the %d pictures can be decoded", len(names))
	}
	if err := d.settle(classes, o); err != nil {
		return nil, err
	}
	if !o.SkipBad {
		return keep(d, d.info, o.MaxBytes)
	}
	return d.skipping(o, len(names))
}

// skipping decodes all pictures, which shows those that cannot be, and leaves them out.
func (d *folder) skipping(o Options, found int) (Dataset, error) {
	size := d.h * d.w * d.c
	var pix []uint8
	if d.fits(o.MaxBytes) {
		pix = make([]uint8, d.n*size)
	}
	bad := make([]error, d.n)
	d.each(bad, true, func(i int) error {
		if pix != nil {
			_, err := d.Get(i, pix[i*size:(i+1)*size])
			return err
		}
		_, err := d.Get(i, make([]uint8, size))
		return err
	})
	if pix != nil {
		to := 0
		for i := range bad {
			if bad[i] == nil {
				to += copy(pix[to:], pix[i*size:(i+1)*size])
			}
		}
		pix = pix[:to]
	}
	d.drop(bad, o)
	if d.n == 0 {
		return nil, fmt.Errorf("none of the %d pictures can be decoded", found)
	}
	if d.n < found {
		o.Warn(fmt.Sprintf("skipped %d of %d pictures that cannot be decoded", found-d.n, found))
	}
	if pix != nil {
		return &memory{d.info, pix}, nil
	}
	return d, nil
}

// each calls f for every picture on all processors; errors go to bad, or end it if skip is false.
func (d *folder) each(bad []error, skip bool, f func(i int) error) error {
	return parallel(len(bad), func(i int) error {
		bad[i] = f(i)
		if skip {
			return nil
		}
		return bad[i]
	})
}

// drop leaves out the pictures with an error and tells of each.
func (d *folder) drop(bad []error, o Options) {
	files := d.files[:0]
	for i, err := range bad {
		if err != nil {
			o.Warn("skipping " + err.Error())
			continue
		}
		files = append(files, d.files[i])
	}
	d.files = files
	d.fill()
}

// fill derives the count and the labels from the files.
func (d *folder) fill() {
	d.n, d.labels = len(d.files), nil
	if d.names == nil {
		return
	}
	for _, f := range d.files {
		d.labels = append(d.labels, f.label)
	}
}

func (d *folder) readHeader(i int) (err error) {
	r, err := os.Open(d.path(i))
	if err != nil {
		return err
	}
	defer r.Close()
	f := &d.files[i]
	if f.h, f.w, f.grey, err = imageio.DecodeSize(r); err != nil {
		return unreadable{fmt.Errorf("reading %s: %w", d.path(i), err)}
	}
	if f.h > d.maxPixels/f.w { // here, so that SkipBad leaves it out as it does any other picture that cannot be decoded
		return fmt.Errorf("%s: %d×%d pixels are more than %d", d.path(i), f.h, f.w, d.maxPixels)
	}
	return nil
}

// settle chooses size and channels for the whole set.
func (d *folder) settle(classes []string, o Options) error {
	first := d.files[0]
	d.h, d.w, d.c = o.Height, o.Width, 1
	if d.h == 0 {
		d.h, d.w = first.h, first.w
	}
	for _, f := range d.files {
		if o.Height == 0 && (f.h != d.h || f.w != d.w) {
			return fmt.Errorf("%w: %s is %d×%d (height×width), %s is %d×%d; choose a height and width to scale them to", ErrSizes, first.name, first.h, first.w, f.name, f.h, f.w)
		}
		if !f.grey && !o.Grey {
			d.c = 3
		}
	}
	d.names = classes
	d.fill()
	return nil
}

// classify gives every file its label and returns the names of the classes, nil if there are none.
func (d *folder) classify() ([]string, error) {
	if classes, done, err := d.fromJSON(); done || err != nil {
		return classes, err
	}
	class := func(f file) string {
		name, _, ok := strings.Cut(f.name, "/")
		if !ok {
			return ""
		}
		return name
	}
	var classes []string
	loose := 0
	for _, f := range d.files {
		if c := class(f); c == "" {
			loose++
		} else {
			classes = append(classes, c)
		}
	}
	if loose == len(d.files) {
		return nil, nil
	}
	if loose > 0 {
		return nil, fmt.Errorf("%d pictures lie beside the sub-folders that hold %d more: which class are they?", loose, len(d.files)-loose)
	}
	slices.Sort(classes)
	classes = slices.Compact(classes)
	for i, f := range d.files {
		d.files[i].label, _ = slices.BinarySearch(classes, class(f))
	}
	return classes, nil
}

// fromJSON reads the labels that EDM's dataset_tool writes: {"labels": [["00000/img00000000.png", 3], …]}, null for none.
func (d *folder) fromJSON() (classes []string, done bool, err error) {
	f, err := os.Open(filepath.Join(d.root, "dataset.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err // labels that cannot be read are not labels that are not there
	}
	defer f.Close()
	var content struct {
		Labels [][2]any `json:"labels"`
	}
	if err := json.NewDecoder(io.LimitReader(f, 1<<30)).Decode(&content); err != nil {
		return nil, false, fmt.Errorf("dataset.json: %w", err)
	}
	if len(content.Labels) == 0 {
		return nil, true, nil
	}
	labels, top := map[string]int{}, 0
	for i, pair := range content.Labels {
		name, ok1 := pair[0].(string)
		label, ok2 := pair[1].(float64)
		if !ok1 || !ok2 || label != float64(int(label)) || label < 0 || label >= 1<<16 {
			return nil, false, fmt.Errorf("dataset.json: label %d is %v, not a file name and a class number", i, pair)
		}
		labels[name] = int(label)
		top = max(top, int(label))
	}
	for i, f := range d.files {
		label, ok := labels[f.name]
		if !ok {
			return nil, false, fmt.Errorf("dataset.json: no label for %s", f.name)
		}
		d.files[i].label = label
	}
	return classNames("", top+1, 0, 0), true, nil
}

// splitFolder descends into train/ or test/ where a folder's sub-folders are splits, not classes.
func splitFolder(root, split string) (string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return "", err
	}
	var splits []string
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if !slices.Contains([]string{"train", "test", "val", "valid", "validation"}, e.Name()) {
			splits = nil
			break
		}
		splits = append(splits, e.Name())
	}
	if len(splits) == 0 {
		if split == "test" { // "train" is what everybody asks for who knows of no parts
			return "", errors.New("holds no parts train and test")
		}
		return root, nil
	}
	if !slices.Contains(splits, split) {
		return "", fmt.Errorf("holds the splits %s, but no %s", strings.Join(splits, ", "), split)
	}
	return filepath.Join(root, split), nil
}

// maxDepth stops at folders that link to themselves.
const maxDepth = 16

// list appends the pictures in the folder rel below root, links followed.
func list(root, rel string, names []string, depth int) ([]string, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("folders are nested more than %d deep at %s", maxDepth, rel)
	}
	entries, err := os.ReadDir(filepath.Join(root, rel))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.Name() == "__MACOSX" {
			continue
		}
		name := filepath.Join(rel, e.Name())
		mode := e.Type()
		if mode&os.ModeSymlink != 0 {
			mode = 0 // of a link that leads nowhere: if it is called like a picture, reading it gives the error
			info, err := os.Stat(filepath.Join(root, name))
			if err == nil {
				mode = info.Mode()
			} else if filepath.Ext(name) == "" {
				return nil, err // it may have been a class
			}
		}
		switch {
		case mode.IsDir():
			if names, err = list(root, name, names, depth+1); err != nil {
				return nil, err
			}
		case mode.IsRegular() && slices.Contains(imageio.Extensions(), strings.ToLower(filepath.Ext(name))):
			names = append(names, filepath.ToSlash(name))
		}
	}
	return names, nil
}
