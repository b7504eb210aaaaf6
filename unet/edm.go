package unet

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"diffuse/checkpoint"
)

// edmKeys are the names under which EDM's and SiD's files keep a network,
// the average of its weights before the weights themselves.
var edmKeys = []string{"ema", "G_ema", "net", "G"}

// EDMNetwork finds the network in a snapshot (.pkl) or training state (.pt) of
// EDM or SiD and returns it with the key that it stands under, which is "" if it is
// all of the file; nil if there is none.
func EDMNetwork(p *checkpoint.Pickle) (net *checkpoint.Object, key string) {
	if o, ok := p.Root.(*checkpoint.Object); ok {
		return o, ""
	}
	root, _ := p.Root.(*checkpoint.Dict)
	for _, key := range edmKeys {
		if o, ok := root.Get(key).(*checkpoint.Object); ok {
			return o, key
		}
	}
	return nil, ""
}

// ReadEDM builds a model from an opened snapshot (.pkl) or training state
// (.pt) of EDM or SiD: SongUNet or DhariwalUNet under EDM's, VP's, VE's or
// iDDPM's preconditioning. The configuration is that which the file recorded
// when the network was made; the classes' source text in it is not looked at.
// Networks made for float16 compute in float32 here. Any other class or
// constant, and weights that do not fit, are errors.
func ReadEDM(p *checkpoint.Pickle) (*Model, error) {
	net, _ := EDMNetwork(p)
	if net == nil {
		return nil, notEDM(p)
	}
	card, err := edmCard(net)
	if err != nil {
		return nil, err
	}
	modules, _ := net.State.Get("_modules").(*checkpoint.Dict)
	bare, ok := modules.Get("model").(*checkpoint.Object)
	if !ok {
		return nil, fmt.Errorf("%s holds no network", net.Class)
	}
	f, err := p.Tensors(bare)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(f.Tensors, func(name string, _ *checkpoint.Tensor) bool {
		return strings.HasSuffix(name, ".resample_filter") // follows from the configuration
	})
	if err := outline(card.Config).match(f.Tensors); err != nil {
		return nil, err
	}
	m := &Model{Card: card, Net: empty(card.Config)}
	return m, m.Net.Import(f.Tensors)
}

// notEDM says what a pickle without a network of EDM's seems to be.
func notEDM(p *checkpoint.Pickle) error {
	const read = "snapshots and training states of EDM and SiD, weights of improved-diffusion, guided-diffusion and consistency_models, and folders of diffusers are read as models"
	f, err := p.File()
	if err != nil {
		return err
	}
	if is := Recognise(f.Names); is != "" {
		return fmt.Errorf("%s, which is not built in; %s", is, read)
	}
	return fmt.Errorf("a %s of %d tensors that is no network known here; %s", p.Format, len(f.Names), read)
}

// Recognise says whose network has tensors of these names, if it is one that is known but not read from such a file; "" for others.
func Recognise(names []string) string {
	for _, kind := range []struct{ part, is string }{
		{"down_blocks.0.resnets.0.conv1.weight", "a UNet of diffusers, whose configuration is not in this file"},
		{"G_state.model", "a training state of SiD that holds weights without their configuration"},
		{"init_conv.weight", "a network of denoising-diffusion-pytorch (root mean square norms, linear attention)"},
		{"u_net.d_blocks.0", "an image_v1 network of k-diffusion (its resampling, conditioning and noise levels differ from EDM's)"},
		{"mapping.blocks.0", "a transformer of k-diffusion"},
		{"double_blocks.0", "a transformer for latent pictures"},
	} {
		if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, kind.part) }) {
			return kind.is
		}
	}
	return ""
}

// edmClasses are the preconditioning classes of EDM: our name, the network class
// when none is given, and the constants that our own code fixes.
var edmClasses = map[string]struct {
	precond, network string
	fixed            map[string]float64
}{
	"EDMPrecond":   {"edm", "DhariwalUNet", map[string]float64{"sigma_min": 0, "sigma_max": math.Inf(1)}},
	"VPPrecond":    {"vp", "SongUNet", map[string]float64{"beta_d": 19.9, "beta_min": 0.1, "M": 1000, "epsilon_t": 1e-5}},
	"VEPrecond":    {"ve", "SongUNet", map[string]float64{"sigma_min": 0.02, "sigma_max": 100}},
	"iDDPMPrecond": {"iddpm", "DhariwalUNet", map[string]float64{"C_1": 0.001, "C_2": 0.008, "M": 1000}},
}

// edmCard translates the attributes of a preconditioned network.
func edmCard(net *checkpoint.Object) (Card, error) {
	class, ok := edmClasses[net.Class]
	switch {
	case net.Class == "Precond":
		return Card{}, errors.New("a network of EDM2, whose magnitude-preserving layers are not built in")
	case !ok:
		return Card{}, fmt.Errorf("a network of class %s, want one of %q", net.Class, slices.Sorted(maps.Keys(edmClasses)))
	}
	c := Card{Precond: class.precond, SigmaData: 0.5, ImageRange: [2]float64{-1, 1}}
	for _, name := range slices.Sorted(maps.Keys(class.fixed)) {
		if v, ok := number(net.State.Get(name)); !ok || v != class.fixed[name] {
			return c, fmt.Errorf("%s with %s = %v; built in is %v", net.Class, name, net.State.Get(name), class.fixed[name])
		}
	}
	if c.Precond == "edm" {
		if c.SigmaData, ok = number(net.State.Get("sigma_data")); !ok {
			return c, errors.New("EDMPrecond without sigma_data")
		}
	}
	if args, ok := net.State.Get("_init_args").(*checkpoint.List); !ok || len(args.Items) > 0 {
		return c, fmt.Errorf("%s was made with arguments by position, not by name", net.Class)
	}
	kwargs, ok := net.State.Get("_init_kwargs").(*checkpoint.Dict)
	if !ok {
		return c, fmt.Errorf("%s does not say how it was made", net.Class)
	}
	network, fp16, err := c.Config.readEDM(kwargs, class.network)
	if err != nil {
		return c, fmt.Errorf("%s: %w", net.Class, err)
	}
	if c.Precond == "iddpm" {
		c.Config.OutChannels *= 2
	}
	if err := c.Config.Validate(); err != nil {
		return c, err
	}
	c.Description = fmt.Sprintf("%s over %s, as EDM saves it", net.Class, network)
	if fp16 {
		c.Description += ", made for float16"
	}
	_, err = c.Preconditioning()
	return c, err
}

// readEDM reads the keyword arguments of EDM's constructors. Those of the
// preconditioning and those that only matter in training stay out of c.
func (c *Config) readEDM(kwargs *checkpoint.Dict, network string) (class string, fp16 bool, err error) {
	args := map[string]any{}
	for i, key := range kwargs.Keys {
		name, ok := key.(string)
		if !ok {
			return "", false, errors.New("an argument without a name")
		}
		args[name] = plain(kwargs.Values[i])
	}
	class = network
	if v, given := args["model_type"]; given {
		class, _ = v.(string)
	}
	kind, ok := map[string]string{"SongUNet": "song", "DhariwalUNet": "adm"}[class]
	if !ok {
		return "", false, fmt.Errorf("model_type %q, want SongUNet or DhariwalUNet", class)
	}
	*c = DefaultConfig(kind)
	fp16, _ = args["use_fp16"].(bool)
	for _, name := range []string{"model_type", "use_fp16", "label_dropout", "sigma_min", "sigma_max", "sigma_data",
		"beta_d", "beta_min", "M", "epsilon_t", "C_1", "C_2"} {
		delete(args, name)
	}
	args["in_channels"], args["out_channels"] = args["img_channels"], args["img_channels"]
	delete(args, "img_channels")
	b, err := json.Marshal(args)
	if err == nil {
		err = strictUnmarshal(b, c)
	}
	if err != nil {
		return "", false, fmt.Errorf("reading its configuration: %w", err)
	}
	return class, fp16, nil
}

// plain turns lists of numbers into Go slices.
func plain(v any) any {
	if l, ok := v.(*checkpoint.List); ok {
		return l.Items
	}
	return v
}

// number reads an integer or float.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	}
	return 0, false
}
