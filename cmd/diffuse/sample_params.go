package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"diffuse/imageio"
	"diffuse/sampler"
	"diffuse/zoo"
)

// recordedElsewhere are the drawing flags that are not kept as such: other fields of a picture's metadata hold their values, whether they were
// typed or not, or they name files, which have to be named again.
var recordedElsewhere = []string{"batch", "seeds", "num", "noise", "interpolate-seeds", "frames", "gnet", "guidance", "from", "mask", "class", "sampler",
	"skip", "eta", "steps", "sigmas", "timesteps", "strength"}

// gridFlags say where a picture's noise levels came from. The levels themselves take their place when it is drawn again, unless other flags of the grid
// are typed.
var gridFlags = []string{"schedule", "sigma-min", "sigma-max", "rho"}

// recordFlags returns the drawing flags of which a picture's metadata would not tell otherwise.
func (p *samplePlan) recordFlags() map[string]string {
	flags := maps.Clone(p.recalledGrid)
	if flags == nil {
		flags = map[string]string{}
	}
	for _, f := range p.flags {
		usual := f.Value.String() == f.DefValue && p.model.suited[f.Name] == ""
		if !f.Changed || usual || slices.Contains(recordedElsewhere, f.Name) {
			continue
		}
		flags[f.Name] = f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			flags[f.Name] = strings.Join(list.GetSlice(), ",")
		}
	}
	if p.options.Eta != p.sampler.Eta { // typed, be it the 0 that the flag shows as its default
		flags["eta"] = exactList([]float64{p.options.Eta})
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
	if a := r.Adaptive; a != nil && a.SharedBy > r.Pictures && !f.Changed("seeds") && !f.Changed("num") {
		err := usagef("--params-from: %s shared its steps with other pictures, which it does not name", o.paramsFrom)
		return "", withHint(err, "take the grid of them all")
	}
	if err := o.recallEdit(u, f, r.From); err != nil {
		return "", err
	}
	if now := version(); r.Version != now.Version || r.Kernels != now.Kernels {
		u.warn("%s was drawn by version %s on %s, this is %s on %s: the last bits may differ", o.paramsFrom, r.Version, r.Kernels, now.Version, now.Kernels)
	}
	o.wantSHA = r.ModelSHA
	if r.Guidance != nil {
		o.wantGuide = r.Guidance.SHA
	}
	flags, err := o.recalledFlags(r, f)
	if err != nil {
		return "", err
	}
	for _, name := range sortedKeys(flags) {
		switch {
		case f.Changed(name) || flags[name] == "":
			continue
		case f.Lookup(name) == nil:
			return "", fmt.Errorf("--params-from %s: it was drawn with --%s, which this version does not have", o.paramsFrom, name)
		case !o.fitsSampler(f, name):
			u.warn("--%s of %s has no effect with --sampler %s and is left out", name, o.paramsFrom, o.sampler)
			continue
		}
		if err := f.Set(name, flags[name]); err != nil {
			return "", fmt.Errorf("--params-from %s: --%s: %w", o.paramsFrom, name, err)
		}
	}
	return modelArg, nil
}

// recalledFlags returns the flags that give a picture's report again, without those that typed ones in f stand against.
func (o *sampleOptions) recalledFlags(r sampleReport, f *pflag.FlagSet) (map[string]string, error) {
	flags := r.Flags
	if flags == nil {
		flags = map[string]string{}
	}
	flags["sampler"], flags["skip"] = r.Sampler, r.Skip
	flags["seeds"], flags["class"] = r.Seeds, strings.Join(r.ClassList, ",")
	if r.Columns > 0 {
		flags["columns"], flags["scale"] = strconv.Itoa(r.Columns), strconv.Itoa(r.Scale)
	}
	if r.Adaptive != nil && r.Adaptive.SharedBy > 0 {
		flags["batch"] = strconv.Itoa(r.Adaptive.SharedBy)
	}
	n := len(r.Sigmas)
	o.recalledGrid = map[string]string{}
	if f.Changed("timesteps") || !slices.ContainsFunc(append([]string{"steps"}, gridFlags...), f.Changed) {
		for _, name := range gridFlags {
			if name == "schedule" && f.Changed("timesteps") { // whose table they are places in
				continue
			}
			if value, ok := flags[name]; ok && !f.Changed("timesteps") {
				o.recalledGrid[name] = value
			}
			delete(flags, name)
		}
	}
	switch {
	case slices.ContainsFunc(append([]string{"steps", "timesteps"}, gridFlags...), f.Changed):
	case r.Adaptive != nil && f.Changed("sampler") && !f.Changed("sigmas") && n == 3 && r.Sigmas[2] == 0: // a range, not steps
		flags["sigma-max"], flags["sigma-min"] = exactList(r.Sigmas[:1]), exactList(r.Sigmas[1:2])
	default:
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
	if r.Guidance == nil {
		return flags, nil
	}
	flags["guidance"] = exactList([]float64{r.Guidance.Weight})
	if name := r.Guidance.Model; name != "" && !f.Changed("gnet") {
		if _, embedded := zoo.Entries()[name]; !embedded {
			return nil, usagef("--params-from: %s was guided by %s: name that model with --gnet", o.paramsFrom, name)
		}
		flags["gnet"] = name
	}
	return flags, nil
}

// fitsSampler says whether a flag of a picture still means something where another sampler than the picture's was typed.
func (o *sampleOptions) fitsSampler(f *pflag.FlagSet, flag string) bool {
	if !f.Changed("sampler") || usersOf(flag) == "" {
		return true
	}
	info, err := sampler.Lookup(o.sampler)
	return err != nil || slices.Contains(flagsOf(info), flag)
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
