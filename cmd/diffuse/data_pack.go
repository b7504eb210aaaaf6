package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"diffuse/dataset"
)

// dataPackOptions are the flags of "diffuse data pack".
type dataPackOptions struct {
	dataReading
	skipBad, unlabelled bool
}

func dataPackCommand(u *ui) *cobra.Command {
	var o dataPackOptions
	c := &cobra.Command{
		Use:   "pack D OUT",
		Short: "Write a data set at one size, in EDM's layout or as npz",
		Long: `Write a data set at one size: OUT.zip and a new folder OUT get the layout of EDM's
dataset_tool (00000/img00000000.png, … and dataset.json with the classes, whose
names stand there, too), OUT.npz the arrays arr_0 and arr_1. The bytes depend on
the pictures only; OUT appears when it is complete.`,
		Example: `  diffuse data pack photos photos-64.zip --resolution 64
  diffuse data pack cifar-10-python.tar.gz cifar10.zip
  diffuse data pack scans scans-256x192 --resolution 256x192 --transform pad --background black`,
		Args: between(2, 2, "a data set and what to write"),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), u, args[0], args[1]) },
	}
	f := c.Flags()
	f.BoolVar(&o.skipBad, "skip-bad", false, "leave out unreadable pictures instead of stopping")
	f.BoolVar(&o.unlabelled, "unlabelled", false, "leave the classes out")
	o.bind(f)
	return c
}

// classesOf says how many classes a set has.
func classesOf(d dataset.Dataset) string {
	switch n := d.Labels(); n {
	case 0:
		return "no classes"
	case 1:
		return "1 class"
	default:
		return fmt.Sprintf("%d classes", n)
	}
}

// otherArchives are endings that promise a file which is not written; any other name is that of a folder.
var otherArchives = []string{".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".parquet", ".npy", ".safetensors", ".h5", ".hdf5", ".tfrecord", ".tfrecords"}

func (o dataPackOptions) run(ctx context.Context, u *ui, path, out string) error {
	read, err := o.options()
	if err != nil {
		return err
	}
	if err := distinct([][2]string{{"D", path}}, [2]string{"OUT", out}); err != nil {
		return err
	}
	switch ext := strings.ToLower(filepath.Ext(out)); {
	case slices.Contains([]string{".zip", ".npz"}, ext):
		if err := checkOutput("OUT", out); err != nil {
			return err
		}
	case slices.Contains(otherArchives, ext):
		return withHint(usagef("OUT: data sets are not packed as %s", ext), "OUT.zip, OUT.npz or a folder")
	case out == "-":
		return noStream("OUT", out)
	}
	read.SkipBad = o.skipBad
	if !o.skipBad { // which decodes all of them beforehand
		read.MaxBytes = o.passing()
	}
	d, err := openSet(u, path, read)
	if err != nil {
		return err
	}
	if o.unlabelled {
		d = unlabelled{d}
	}
	bar := u.progress("packing "+out, "pictures", 0, float64(d.Len()))
	err = dataset.Pack(d, out, func(done, _ int) error {
		bar.set(float64(done), "")
		if ctx.Err() != nil {
			return errInterrupted
		}
		return nil
	})
	bar.finish()
	if err != nil {
		return err
	}
	h, w, c := d.Size()
	if u.json {
		return u.result(map[string]any{"out": out, "pictures": d.Len(), "height": h, "width": w, "channels": c, "classes": d.Labels()})
	}
	u.summary("%s: %s of %d×%d, %s, %s", out, plural(d.Len(), "picture"), w, h, plural(c, "channel"), classesOf(d))
	return nil
}
