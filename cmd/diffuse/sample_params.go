package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"diffuse/imageio"
	"diffuse/zoo"
)

// recordedElsewhere are the drawing flags that are not kept as such: other fields of a picture's metadata hold their values, whether they were
// typed or not, or they name files, which have to be named again.
var recordedElsewhere = []string{"batch", "seeds", "num", "noise", "interpolate-seeds", "frames", "gnet", "from", "mask", "class", "sampler", "skip",
	"steps", "schedule", "sigma-min", "sigma-max", "rho", "sigmas", "timesteps", "strength"}

// recordFlags returns the drawing flags of which a picture's metadata would not tell otherwise.
func (p *samplePlan) recordFlags() map[string]string {
	flags := map[string]string{}
	for _, f := range p.flags {
		if !f.Changed || f.Value.String() == f.DefValue || slices.Contains(recordedElsewhere, f.Name) {
			continue
		}
		flags[f.Name] = f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			flags[f.Name] = strings.Join(list.GetSlice(), ",")
		}
	}
	return flags
}

// classList returns the classes of pictures as --class reads them, or nil if they are what it would choose.
func (p *samplePlan) classList(pictures []picture) []string {
	list, chosen := make([]string, len(pictures)), true
	for i, pic := range pictures {
		list[i] = p.model.classText(pic.Class)
		chosen = chosen && pic.Class == p.ownClass(pic.Seed)
	}
	if chosen {
		return nil
	}
	return list
}

// classText writes a class as --class reads it.
func (m *model) classText(class int) string {
	if class < 0 {
		return "none"
	}
	return strconv.Itoa(class)
}

// recall gives the flags again that a PNG file says it was drawn by, where they were not typed, and returns the model to draw with.
func (o *sampleOptions) recall(u *ui, f *pflag.FlagSet, args []string) (modelArg string, err error) {
	r, err := readParameters(o.paramsFrom)
	if err != nil {
		return "", fmt.Errorf("--params-from %s: %w", o.paramsFrom, err)
	}
	modelArg = r.Model
	if len(args) > 0 {
		modelArg = args[0]
	} else if _, embedded := zoo.Entries()[r.Model]; !embedded {
		err := usagef("--params-from: %s was drawn by a model file called %s", o.paramsFrom, r.Model)
		return "", withHint(err, "name that file as MODEL: diffuse sample MODEL --params-from %s", o.paramsFrom)
	}
	if r.Noise && !f.Changed("noise") {
		return "", usagef("--params-from: %s was drawn from a file of noise: name it with --noise", o.paramsFrom)
	}
	if r.Guidance != nil && r.Guidance.Model != "" && !f.Changed("gnet") {
		return "", usagef("--params-from: %s was guided by %s: name that model with --gnet", o.paramsFrom, r.Guidance.Model)
	}
	if err := o.recallEdit(u, f, r.From); err != nil {
		return "", err
	}
	if now := version(); r.Version != now.Version || r.Kernels != now.Kernels {
		u.warn("%s was drawn by version %s on %s, this is %s on %s: the last bits may differ", o.paramsFrom, r.Version, r.Kernels, now.Version, now.Kernels)
	}
	o.wantSHA = r.ModelSHA
	flags := r.Flags
	if flags == nil {
		flags = map[string]string{}
	}
	flags["sampler"], flags["skip"] = r.Sampler, r.Skip
	flags["seeds"], flags["class"] = r.Seeds, strings.Join(r.ClassList, ",")
	if r.Columns > 0 {
		flags["columns"], flags["scale"] = strconv.Itoa(r.Columns), strconv.Itoa(r.Scale)
	}
	if typed := []string{"steps", "schedule", "sigma-min", "sigma-max", "rho", "timesteps"}; !slices.ContainsFunc(typed, f.Changed) {
		flags["sigmas"] = exactList(r.Sigmas)
		if r.From != nil {
			flags["sigmas"] = exactList(r.From.Levels)
		}
	}
	if r.From != nil {
		flags["strength"] = strconv.FormatFloat(r.From.Strength, 'g', -1, 64)
	}
	if b := r.Between; b != nil && !f.Changed("seeds") {
		flags["interpolate-seeds"], flags["frames"] = b.Seeds, b.Frames
	}
	if f.Changed("num") || f.Changed("noise") {
		delete(flags, "interpolate-seeds")
		delete(flags, "frames")
	}
	if f.Changed("num") || f.Changed("noise") || f.Changed("interpolate-seeds") {
		delete(flags, "seeds")
	}
	for _, name := range sortedKeys(flags) {
		switch {
		case f.Changed(name) || flags[name] == "":
			continue
		case f.Lookup(name) == nil:
			return "", fmt.Errorf("--params-from %s: it was drawn with --%s, which this version does not have", o.paramsFrom, name)
		}
		if err := f.Set(name, flags[name]); err != nil {
			return "", fmt.Errorf("--params-from %s: --%s: %w", o.paramsFrom, name, err)
		}
	}
	return modelArg, nil
}

// exactList writes noise levels so that reading them gives the same numbers.
func exactList(sigmas []float64) string {
	list := make([]string, len(sigmas))
	for i, s := range sigmas {
		list[i] = strconv.FormatFloat(s, 'g', -1, 64)
	}
	return strings.Join(list, ",")
}

// readParameters returns what a PNG file of ours says of how it was made.
func readParameters(path string) (r sampleReport, err error) {
	meta, err := imageio.ReadPNGMeta(path)
	if err != nil {
		return r, err
	}
	text, ok := meta["diffuse"]
	if !ok {
		return r, errors.New("it does not say how it was made; diffuse writes that into PNG files unless --no-metadata is given")
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, fmt.Errorf("its text about how it was made cannot be read: %w", err)
	}
	if len(r.Sigmas) < 2 || r.Sampler == "" {
		return r, errors.New("its text about how it was made lacks the sampler or the noise levels")
	}
	return r, nil
}
