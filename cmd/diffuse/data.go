package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/dataset"
	"diffuse/imageio"
)

func dataCommand(u *ui) *cobra.Command {
	c := &cobra.Command{
		Use:   "data",
		Short: "Look at data sets and pack them",
		Long: `Look at data sets and pack them. All commands that take pictures read the same
sets, known by their content:

  folder     pictures (PNG, JPEG, GIF, BMP, TIFF, WebP), the first sub-folder being
             the class; or labels in a dataset.json (EDM) or metadata.jsonl (Hugging Face)
  zip        such a folder in an archive
  parquet    Hugging Face's tables of pictures: one file, or a folder of shards
  CIFAR      CIFAR-10 and -100, binary or Python, as a folder or the tar.gz file
  idx        MNIST and its kin, a folder or a file, gzipped or not
  npz        arr_0 (N×H×W×C bytes) and perhaps arr_1 (classes)

Pictures with opacity are laid over --background; those of JPEG files are turned
as their Exif orientation says. Sets in parts (train, test) have these as folders
or in the names of their files.`,
		Example: `  diffuse data inspect photos
  diffuse data grid photos -o sheet.png --class cat
  diffuse data pack photos photos-64.zip --resolution 64`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return unknownName("command", args[0], commandNames(c))
		},
	}
	c.AddCommand(dataInspectCommand(u), dataGridCommand(u), dataPackCommand(u))
	return c
}

// A reading is how pictures of any size and kind become those of a set, beyond the size itself.
type reading struct {
	Transform  string `json:"transform,omitempty"`   // how they come to one size
	Background string `json:"background,omitempty"`  // colour behind opacity and around padded pictures
	Memory     int64  `json:"data_memory,omitempty"` // bytes of decoded pictures to keep
}

func (r *reading) bind(f *pflag.FlagSet) {
	f.StringVar(&r.Transform, "transform", r.Transform, "how pictures come to one size: "+strings.Join(transformNames(), ", ")+" (default centre-crop)")
	f.StringVar(&r.Background, "background", r.Background, "`COLOUR` behind pictures with opacity and around padded ones: white, black, grey or such as #30a0ff (default white)")
	f.Var((*countValue)(&r.Memory), "data-memory", "bytes of decoded pictures to keep in memory, such as 4G; larger sets are decoded as they are used (0 = 1 GiB)")
}

func transformNames() []string {
	var names []string
	for _, t := range imageio.Transforms() {
		names = append(names, string(t))
	}
	return names
}

// into sets the options of reading a set.
func (r reading) into(o *dataset.Options) error {
	name := strings.Replace(r.Transform, "center", "centre", 1)
	if name != "" && !slices.Contains(transformNames(), name) {
		return unknownName("transform", r.Transform, transformNames())
	}
	o.Transform, o.MaxBytes = imageio.Transform(name), r.Memory
	if r.Background == "" {
		return nil
	}
	o.Background = new([3]uint8)
	switch r.Background {
	case "black":
	case "white":
		*o.Background = [3]uint8{255, 255, 255}
	case "grey", "gray":
		*o.Background = [3]uint8{128, 128, 128}
	default:
		v, err := strconv.ParseUint(strings.TrimPrefix(r.Background, "#"), 16, 24)
		if err != nil || len(r.Background) != 7 || r.Background[0] != '#' {
			return usagef("--background %s is no colour: white, black, grey or such as #30a0ff", r.Background)
		}
		*o.Background = [3]uint8{uint8(v >> 16), uint8(v >> 8), uint8(v)}
	}
	return nil
}

// A dataReading is what the commands under "data" ask for: everything that Open can be told.
type dataReading struct {
	reading
	split, resolution string
	grey              bool
}

func (r *dataReading) bind(f *pflag.FlagSet) {
	f.StringVar(&r.split, "split", "", "part of the data set: train or test")
	f.StringVar(&r.resolution, "resolution", "", "bring pictures to `N` or WIDTHxHEIGHT pixels by --transform (default: they must agree)")
	f.BoolVar(&r.grey, "grey", false, "convert pictures to grey")
	r.reading.bind(f)
}

func (r dataReading) options() (o dataset.Options, err error) {
	o = dataset.Options{Split: r.split, Grey: r.grey}
	if err := r.into(&o); err != nil || r.resolution == "" {
		return o, err
	}
	width, height, two := strings.Cut(r.resolution, "x")
	if !two {
		height = width
	}
	w, err1 := strconv.Atoi(width)
	h, err2 := strconv.Atoi(height)
	if err1 != nil || err2 != nil || w < 1 || h < 1 {
		return o, usagef("--resolution %s is not a size such as 64 or 128x96", r.resolution)
	}
	o.Height, o.Width = h, w
	return o, nil
}

// passing is how much to keep in memory of a set whose pictures are looked at once at most.
func (r dataReading) passing() int64 {
	if r.Memory != 0 {
		return r.Memory
	}
	return 64 << 20
}

// openSet opens a data set, shows how far it is, passes on warnings and adds the hints that every command has the flags for.
func openSet(u *ui, path string, o dataset.Options) (dataset.Dataset, error) {
	var bar *progress
	o.Progress = func(done, total int) {
		if bar == nil || bar.total != float64(total) {
			bar = u.progress("reading "+path, "files", 0, float64(total))
		}
		bar.set(float64(done), "")
	}
	o.Warn = func(line string) { u.warn("%s", line) }
	d, err := dataset.Open(path, o)
	if bar != nil {
		bar.finish()
	}
	switch {
	case errors.Is(err, dataset.ErrSizes):
		return nil, withHint(err, "--resolution N scales and crops all pictures to N×N")
	case errors.Is(err, dataset.ErrUnreadable):
		return nil, withHint(err, "--skip-bad leaves out unreadable pictures")
	}
	return d, err
}

// dataGridOptions are the flags of "diffuse data grid".
type dataGridOptions struct {
	dataReading
	skipBad      bool
	out, class   string
	num, columns int
	seed         uint64
}

func dataGridCommand(u *ui) *cobra.Command {
	o := dataGridOptions{out: "data.png", num: 64}
	c := &cobra.Command{
		Use:   "grid D",
		Short: "Draw a contact sheet of a data set",
		Long: `Draw a contact sheet of a data set: pictures drawn at random by --seed, of all
classes or of one, as training would see them.`,
		Example: `  diffuse data grid photos -o sheet.png
  diffuse data grid photos.zip --class cat --num 100 --resolution 64`,
		Args: between(1, 1, "one data set"),
		RunE: func(c *cobra.Command, args []string) error { return o.run(u, args[0]) },
	}
	f := c.Flags()
	f.StringVarP(&o.out, "out", "o", o.out, "`FILE.png` to write")
	f.StringVar(&o.class, "class", "", "show one class only, by `NAME` or number")
	f.IntVar(&o.num, "num", o.num, "pictures to show")
	f.IntVar(&o.columns, "columns", 0, "pictures in a row (0 = about as many as rows)")
	f.Uint64Var(&o.seed, "seed", 0, "which pictures are drawn")
	f.BoolVar(&o.skipBad, "skip-bad", false, "leave out unreadable pictures instead of stopping")
	o.bind(f)
	return c
}

func (o dataGridOptions) run(u *ui, path string) error {
	read, err := o.options()
	if err != nil {
		return err
	}
	if o.num < 1 || o.columns < 0 {
		return usagef("--num %d and --columns %d must be above 0", o.num, o.columns)
	}
	if err := errors.Join(checkPNG("out", o.out), checkOutput("out", o.out)); err != nil {
		return err
	}
	read.SkipBad, read.MaxBytes = o.skipBad, o.passing()
	d, err := openSet(u, path, read)
	if err != nil {
		return err
	}
	class, err := chosenClass(d, o.class)
	if err != nil {
		return err
	}
	h, w, c := d.Size()
	var sheet []imageio.Image
	for _, i := range dataset.Permutation(o.seed, 0, d.Len()) {
		m := imageio.New(h, w, c)
		label, err := d.Get(i, m.Pix)
		if err != nil {
			return err
		}
		if class >= 0 && label != class {
			continue
		}
		if sheet = append(sheet, m); len(sheet) == o.num {
			break
		}
	}
	if len(sheet) == 0 {
		return fmt.Errorf("%s: no picture is of class %s", path, o.class)
	}
	meta := map[string]string{"Software": "diffuse", "Source": path}
	if err := imageio.WritePNG(o.out, imageio.Grid(sheet, o.columns, gridPadding, gridGround), meta); err != nil {
		return err
	}
	if u.json {
		return u.result(map[string]any{"out": o.out, "pictures": len(sheet), "of": d.Len()})
	}
	if class >= 0 {
		u.summary("%s: %s of class %s of %s", o.out, plural(len(sheet), "picture"), o.class, path)
	} else {
		u.summary("%s: %d of %d pictures of %s", o.out, len(sheet), d.Len(), path)
	}
	return nil
}

// chosenClass is the number of the class called name, or with that number; -1 for all.
func chosenClass(d dataset.Dataset, name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if d.Labels() == 0 {
		return 0, usagef("--class %s: the data set has no classes", name)
	}
	if i := slices.Index(d.ClassNames(), name); i >= 0 {
		return i, nil
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < d.Labels() {
		return i, nil
	}
	return 0, unknownName("class", name, d.ClassNames())
}
