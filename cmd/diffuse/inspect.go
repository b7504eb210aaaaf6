package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"diffuse/checkpoint"
	"diffuse/dataset"
	"diffuse/distill"
	"diffuse/imageio"
	"diffuse/sampler"
	"diffuse/train"
	"diffuse/unet"
	"diffuse/zoo"
)

func inspectCommand(u *ui) *cobra.Command {
	skips, tensors, arch := skipOptions{}, false, ""
	c := &cobra.Command{
		Use:   "inspect X",
		Short: "Say what a file or folder is",
		Long: `Say what a file or folder is: a model (configuration, parameters, arithmetic and
memory per level, how it was trained), a training run (its settings and its newest
model), other safetensors and npz files (arrays), a snapshot of EDM or SiD, a model
of diffusers, weights of improved-diffusion, guided-diffusion or consistency_models,
other pickles and PyTorch files (arrays), a data set, a picture (and the parameters
that made it), or an embedded model. The kind is found from the content, not from
the name.

--tensors lists the weights of a model, as they are stored, instead of its levels.
--skips shows how strong the skip connections of a model are, the number that
skip weights (sample --skip) act on: at each, the norm of the skip over that of
the decoder's features, on the model's own pictures with noise added (--sigmas), or
on the noise alone, which is all that a one-step generator is given (--noise-only).`,
		Example: `  diffuse inspect fashion
  diffuse inspect runs/mine
  diffuse inspect fashion-teacher --skips
  diffuse inspect fashion-student --skips --sigmas 2.5 --noise-only
  diffuse inspect out/000017.png --json`,
		Args:              between(1, 1, "one file, folder or embedded model"),
		ValidArgsFunction: completeModel,
		RunE: func(c *cobra.Command, args []string) error {
			if err := skips.check(c.Flags()); err != nil {
				return err
			}
			if skips.on {
				f, err := inspectSkips(c.Context(), u, args[0], skips)
				return showFinding(u, args[0], f, err)
			}
			f, err := inspect(args[0], arch)
			if err == nil {
				err = f.hash(args[0])
			}
			if err == nil && tensors {
				err = f.listTensors(args[0])
			}
			return showFinding(u, args[0], f, err)
		},
	}
	c.Flags().BoolVar(&tensors, "tensors", false, "list the tensors of a model")
	archFlag(c, &arch)
	skips.bind(c.Flags())
	return c
}

// A finding is what inspect learned: facts in order for people, and the same as a value for JSON.
type finding struct {
	Kind   string
	facts  [][2]string
	table  [][]string // first row is the header
	value  any
	list   [][]string       // of a model: its stored tensors as another table
	arrays []map[string]any // the same for JSON
	sha256 string
}

func (f *finding) fact(label, format string, args ...any) {
	f.facts = append(f.facts, [2]string{label, fmt.Sprintf(format, args...)})
}

// showFinding prints what was found about arg.
func showFinding(u *ui, arg string, f *finding, err error) error {
	if err != nil {
		return err
	}
	if u.json {
		r := map[string]any{"name": arg, "kind": f.Kind, "content": f.value}
		if f.sha256 != "" {
			r["sha256"] = f.sha256
		}
		return u.result(r)
	}
	fmt.Fprintf(u.stdout, "%s  %s\n", arg, f.Kind)
	w := tabwriter.NewWriter(u.stdout, 0, 4, 2, ' ', 0)
	for _, p := range f.facts {
		fmt.Fprintf(w, "%s\t%s\n", p[0], p[1])
	}
	if err := w.Flush(); err != nil || len(f.table) == 0 {
		return err
	}
	fmt.Fprintln(u.stdout)
	for _, row := range f.table {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// inspect finds out what arg is and describes it. arch says more about weights of OpenAI's programs.
func inspect(arg, arch string) (*finding, error) {
	if e, ok := zoo.Entries()[arg]; ok {
		return inspectEmbedded(e)
	}
	info, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) {
		err := fmt.Errorf("inspect %q: no such file, folder or embedded model", arg)
		return nil, hintEmbedded(err, arg)
	}
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return inspectFolder(arg)
	}
	if unet.IsUNet2D(arg) {
		return inspectDiffusers(arg)
	}
	f, err := os.Open(arg)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 16)
	n, err := io.ReadFull(f, head)
	f.Close()
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("\x89PNG")):
		return inspectPNG(arg)
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return inspectZip(arg, arch)
	case bytes.HasPrefix(head, []byte("\x00\x00\x08")), bytes.HasPrefix(head, []byte("\x1f\x8b")), bytes.HasPrefix(head, []byte("PAR1")):
		return inspectData(arg)
	case len(bytes.TrimSpace(head)) > 0 && bytes.TrimSpace(head)[0] == '{':
		return inspectMixture(arg)
	}
	return inspectTensors(arg, arch)
}

func inspectEmbedded(e zoo.Entry) (*finding, error) {
	b, err := e.Read()
	if err != nil {
		return nil, err
	}
	f, err := checkpoint.OpenBytes(b)
	if err != nil {
		return nil, err
	}
	found, err := describeModelFile(f)
	if err == nil {
		found.fact("settings", "%s, %s, sigma %g to %g, rho %g, skip %s", e.Sampler, plural(e.Steps, "step"), e.SigmaMax, e.SigmaMin, e.Rho, orNone(e.Skip))
	}
	return found, err
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// inspectFolder tells a training run from a model of diffusers and from a data set.
func inspectFolder(dir string) (*finding, error) {
	o, setup, err := train.ReadOptions(dir)
	if errors.Is(err, fs.ErrNotExist) && unet.IsUNet2D(dir) {
		return inspectDiffusers(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if path, err := newestSnapshot(dir); err == nil { // without a run's other files, still what sample draws with
			return inspectSnapshot(path)
		}
		return inspectData(dir)
	}
	if err == nil {
		return inspectRun(dir, "training run", o, setup)
	}
	distilled, setup, _, e := distill.ReadOptions(dir)
	if e == nil {
		return inspectRun(dir, "distillation run", distilled, setup)
	}
	return nil, err
}

// inspectRun describes the folder of a run by its settings, its newest model and its last line of statistics.
func inspectRun(dir, kind string, o any, setup json.RawMessage) (*finding, error) {
	f := &finding{Kind: kind}
	f.fact("options", "%s", compact(o))
	f.fact("setup", "%s", compact(setup))
	value := map[string]any{"options": o, "setup": setup}
	if line := lastLine(filepath.Join(dir, "stats.jsonl")); line != "" {
		f.fact("last statistics", "%s", line)
		value["last_stats"] = json.RawMessage(line)
	}
	if path, err := newestSnapshot(dir); err == nil {
		f.fact("newest snapshot", "%s", filepath.Base(path))
		value["snapshot"] = filepath.Base(path)
		m, err := inspectSnapshot(path)
		if err != nil {
			return nil, err
		}
		for _, fact := range m.facts {
			if !slices.Contains([]string{"config", "training"}, fact[0]) { // the run's settings say it
				f.facts = append(f.facts, fact)
			}
		}
		f.table, f.list, f.arrays, value["model"] = m.table, m.list, m.arrays, m.value
	}
	f.value = value
	return f, nil
}

// inspectSnapshot describes a run's model.
func inspectSnapshot(path string) (*finding, error) {
	c, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	m, err := describeModelFile(c)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return m, nil
}

// lastLine returns the last whole line of a text file, "" if there is none.
func lastLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 2 {
		return ""
	}
	return lines[len(lines)-2]
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func inspectData(path string) (*finding, error) {
	d, err := dataset.Open(path, dataset.Options{})
	if err != nil {
		return nil, fmt.Errorf("inspect %s: neither a model nor a training run nor a data set: %w", path, err)
	}
	h, w, c := d.Size()
	f := &finding{Kind: "data set"}
	f.fact("pictures", "%d", d.Len())
	f.fact("size", "%d×%d, %s", w, h, plural(c, "channel"))
	f.fact("classes", "%d: %s", d.Labels(), strings.Join(d.ClassNames(), ", "))
	f.value = map[string]any{"pictures": d.Len(), "height": h, "width": w, "channels": c, "classes": d.ClassNames()}
	return f, nil
}

func inspectPNG(path string) (*finding, error) {
	meta, err := imageio.ReadPNGMeta(path)
	if err != nil {
		return nil, err
	}
	img, err := imageio.DecodeFile(path, 0)
	if err != nil {
		return nil, err
	}
	return describePicture(img, meta), nil
}

// describePicture shows a picture's size and its text.
func describePicture(img imageio.Image, meta map[string]string) *finding {
	f := &finding{Kind: "picture"}
	f.fact("size", "%d×%d, %s", img.W, img.H, plural(img.C, "channel"))
	text := map[string]any{}
	for _, k := range sortedKeys(meta) {
		f.fact(k, "%s", meta[k])
		text[k] = meta[k]
		if json.Valid([]byte(meta[k])) {
			text[k] = json.RawMessage(meta[k])
		}
	}
	f.value = map[string]any{"height": img.H, "width": img.W, "channels": img.C, "text": text}
	return f
}

func inspectMixture(path string) (*finding, error) {
	g, err := sampler.OpenGMM(path)
	if err != nil {
		return nil, err
	}
	f := &finding{Kind: "analytic model: Gaussian mixture"}
	f.fact("picture", "%d×%d, %s", g.Shape[2], g.Shape[1], plural(g.Shape[0], "channel"))
	f.fact("components", "%d", len(g.Weights))
	f.value = map[string]any{"shape": g.Shape, "components": len(g.Weights)}
	return f, nil
}

// inspectZip tells numpy's archives from PyTorch's and from those of pictures.
func inspectZip(path, arch string) (*finding, error) {
	c, err := checkpoint.OpenNPZ(path)
	if err != nil || len(c.Names) == 0 {
		if err == nil {
			c.Close()
		}
		f, err := inspectPickle(path, arch)
		if err != nil { // perhaps one of pictures
			if d, noData := inspectData(path); noData == nil {
				return d, nil
			}
		}
		return f, err
	}
	defer c.Close()
	return describeTensors("npz archive", c), nil
}

// inspectTensors opens a safetensors file: our models are described as such, others as lists of arrays.
func inspectTensors(path, arch string) (*finding, error) {
	c, err := checkpoint.Open(path)
	if err != nil && checkpoint.IsPickle(path) {
		return inspectPickle(path, arch)
	}
	if err != nil {
		if img, noPicture := imageio.DecodeFile(path, 0); noPicture == nil {
			return describePicture(img, nil), nil
		}
		if f, noData := inspectData(path); noData == nil {
			return f, nil
		}
		return nil, fmt.Errorf("inspect: %w", err)
	}
	defer c.Close()
	if unet.IsOpenAI(c) {
		return inspectOpenAI(path, arch, "safetensors file", c)
	}
	if !strings.HasPrefix(c.Meta["format"], "diffuse-model-") {
		return describeTensors("safetensors file", c), nil
	}
	f, err := describeModelFile(c)
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", path, err)
	}
	return f, nil
}

// describeTensors lists names, types and shapes.
func describeTensors(kind string, c *checkpoint.File) *finding {
	f := &finding{Kind: kind}
	var elements int
	f.table, f.arrays, elements = tensorTable(c.Names, c.Tensors)
	f.fact("arrays", "%d", len(c.Names))
	f.fact("elements", "%d", elements)
	for _, k := range sortedKeys(c.Meta) {
		f.fact("metadata "+k, "%s", c.Meta[k])
	}
	f.value = map[string]any{"metadata": c.Meta, "arrays": f.arrays, "elements": elements}
	return f
}
