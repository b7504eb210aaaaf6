package dataset

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"diffuse/imageio"
)

// encoded is a set of picture files, in a folder, an archive or a table, decoded when asked for.
type encoded struct {
	info
	files []file
	read  Options
	open  func(f *file) (io.ReadCloser, error) // errors name the picture
	path  func(f *file) string                 // the picture's name for messages
}

// file is one picture.
type file struct {
	name     string // relative to the root, with slashes
	label    int
	h, w     int
	grey     bool
	body     []byte // of a picture in a table: its bytes, or nil if they are
	at, size int64  // these of the table's copy
}

func (d *encoded) Get(i int, dst []uint8) (int, error) {
	label, err := d.check(i, dst)
	if err != nil {
		return label, err
	}
	f := &d.files[i]
	r, err := d.open(f)
	if err != nil {
		return label, unreadable{err}
	}
	defer r.Close()
	m, err := imageio.Decode(r, pixelLimit(d.read))
	if err != nil {
		return label, unreadable{fmt.Errorf("reading %s: %w", d.path(f), err)}
	}
	copy(dst, d.read.fit(m, d.h, d.w, d.c).Pix)
	return label, nil
}

// fit brings a picture to h×w×c as the options say.
func (o *Options) fit(m imageio.Image, h, w, c int) imageio.Image {
	return o.Transform.Apply(m.Over(*o.Background).Convert(c), h, w, *o.Background)
}

// prepare reads the headers of all pictures, settles size and channels, and decodes them if they fit in memory. classes are the names
// of the labels in files, nil if they have none.
func (d *encoded) prepare(classes []string) (Dataset, error) {
	found := len(d.files)
	bad := make([]error, found)
	if err := d.each(bad, d.readHeader); err != nil {
		return nil, err
	}
	d.drop(bad)
	if len(d.files) == 0 {
		return nil, fmt.Errorf("none of the %d pictures can be decoded", found)
	}
	if err := d.settle(classes); err != nil {
		return nil, err
	}
	if !d.read.SkipBad {
		return keep(d, d.info, d.read)
	}
	return d.skipping(found)
}

// skipping decodes all pictures, which shows those that cannot be, and leaves them out.
func (d *encoded) skipping(found int) (Dataset, error) {
	size := d.h * d.w * d.c
	var pix []uint8
	if d.fits(d.read.MaxBytes) {
		pix = make([]uint8, d.n*size)
	}
	bad := make([]error, d.n)
	d.each(bad, func(i int) error {
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
	d.drop(bad)
	if d.n == 0 {
		return nil, fmt.Errorf("none of the %d pictures can be decoded", found)
	}
	if d.n < found {
		d.read.Warn(fmt.Sprintf("skipped %d of %d pictures that cannot be decoded", found-d.n, found))
	}
	if pix != nil {
		return &memory{d.info, pix}, nil
	}
	return newAhead(d, d.info), nil
}

// each calls f for every picture on all processors; errors go to bad, or end it if bad pictures are not to be skipped.
func (d *encoded) each(bad []error, f func(i int) error) error {
	return parallel(len(bad), d.read.Progress, func(i int) error {
		bad[i] = f(i)
		if d.read.SkipBad {
			return nil
		}
		return bad[i]
	})
}

// drop leaves out the pictures with an error and tells of each.
func (d *encoded) drop(bad []error) {
	files := d.files[:0]
	for i, err := range bad {
		if err != nil {
			d.read.Skipped(d.files[i].name, err)
			continue
		}
		files = append(files, d.files[i])
	}
	d.files = files
	d.fill()
}

// fill derives count, names and labels from the files, of which the rest need not be kept.
func (d *encoded) fill() {
	d.n, d.labels = len(d.files), nil
	names := make([]string, d.n)
	for i, f := range d.files {
		names[i] = f.name
	}
	d.title = func(i int) string { return names[i] }
	if d.names == nil {
		return
	}
	for _, f := range d.files {
		d.labels = append(d.labels, f.label)
	}
}

func (d *encoded) readHeader(i int) (err error) {
	f := &d.files[i]
	r, err := d.open(f)
	if err != nil {
		return err
	}
	defer r.Close()
	if f.h, f.w, f.grey, err = imageio.DecodeSize(r); err != nil {
		return unreadable{fmt.Errorf("reading %s: %w", d.path(f), err)}
	}
	if limit := pixelLimit(d.read); f.h > limit/f.w { // here, so that SkipBad leaves it out as it does any other picture that cannot be decoded
		return fmt.Errorf("%s: %d×%d pixels are more than %d", d.path(f), f.h, f.w, limit)
	}
	return nil
}

// settle chooses size and channels for the whole set.
func (d *encoded) settle(classes []string) error {
	d.h, d.w, d.c = d.read.Height, d.read.Width, 1
	if d.h == 0 {
		sizes := d.sizes()
		if len(sizes) > 1 {
			return &SizesError{sizes}
		}
		d.h, d.w = sizes[0].Height, sizes[0].Width
	}
	greys, example := 0, ""
	for _, f := range d.files {
		if f.grey {
			greys++
			example = f.name
		}
	}
	if greys < len(d.files) && !d.read.Grey {
		d.c = 3
		if greys > 0 {
			d.read.Warn(fmt.Sprintf("%d of %d pictures are grey, such as %s; all are read as RGB", greys, len(d.files), example))
		}
	}
	d.names = classes
	d.fill()
	return nil
}

// sizes counts the sizes of the pictures, the most frequent first.
func (d *encoded) sizes() []SizeCount {
	var counts []SizeCount
	index := map[[2]int]int{}
	for _, f := range d.files {
		i, ok := index[[2]int{f.h, f.w}]
		if !ok {
			i = len(counts)
			index[[2]int{f.h, f.w}] = i
			counts = append(counts, SizeCount{Height: f.h, Width: f.w, Example: f.name})
		}
		counts[i].Pictures++
	}
	slices.SortStableFunc(counts, func(a, b SizeCount) int { return b.Pictures - a.Pictures })
	return counts
}

// ErrSizes is wrapped by Open's error for pictures of different sizes, a *SizesError; Options.Height and Width make them agree.
var ErrSizes = errors.New("pictures differ in size")

// A SizesError lists the sizes of the pictures of a set that do not agree, the most frequent first.
type SizesError struct{ Sizes []SizeCount }

// A SizeCount is a size in pixels, how many pictures have it, and the name of one of them.
type SizeCount struct {
	Height   int    `json:"height"`
	Width    int    `json:"width"`
	Pictures int    `json:"pictures"`
	Example  string `json:"example"`
}

func (e *SizesError) Is(target error) bool { return target == ErrSizes }

func (e *SizesError) Error() string {
	const most = 4
	var s []string
	for _, c := range e.Sizes[:min(most, len(e.Sizes))] {
		s = append(s, fmt.Sprintf("%d of %d×%d, such as %s", c.Pictures, c.Height, c.Width, c.Example))
	}
	if rest := len(e.Sizes) - len(s); rest > 0 {
		s = append(s, fmt.Sprintf("and %d more sizes", rest))
	}
	return fmt.Sprintf("%v: %s (height×width); choose a height and width to scale them to", ErrSizes, strings.Join(s, "; "))
}

// ErrUnreadable matches, by errors.Is, the errors of Open and Get for a picture file that cannot be decoded; Options.SkipBad leaves
// such files out.
var ErrUnreadable = errors.New("unreadable picture")

// unreadable makes an error match ErrUnreadable without a change of its words.
type unreadable struct{ error }

func (e unreadable) Unwrap() error        { return e.error }
func (e unreadable) Is(target error) bool { return target == ErrUnreadable }
