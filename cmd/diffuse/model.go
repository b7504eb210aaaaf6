package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"diffuse/checkpoint"
	"diffuse/sampler"
	"diffuse/schedule"
	"diffuse/unet"
	"diffuse/zoo"
)

// A model is anything that can denoise: a network from a file, a run folder or the zoo, or an analytic mixture.
type model struct {
	path      string // its file, "" if embedded
	name      string // what pictures' metadata say: a name, never a path
	sha       string // first digits of the file's SHA-256
	channels  int
	height    int
	width     int
	labels    int      // number of classes, 0 = unconditional
	classes   []string // their names; may be empty although labels is not 0
	low       float64  // the value that byte 0 stands for
	high      float64  // the value that byte 255 stands for
	precond   schedule.Precond
	defaults  zoo.Entry         // settings where the user gives none
	suited    map[string]string // values of other flags of sample, likewise
	scheduler string            // the class of diffusers' that these come from, "" for none
	net       *unet.Model       // nil for an analytic model
	gmm       *sampler.GMM
}

// modelHelp explains the MODEL argument in help texts.
const modelHelp = `MODEL is a model file (.safetensors), a snapshot or training state of EDM or SiD
(.pkl, .pt: nothing in it is executed), weights of improved-diffusion,
guided-diffusion or consistency_models (.pt; NAME.flags beside it says what they
do not), a folder of diffusers with a UNet2DModel or one of its files of weights,
such as diffusion_pytorch_model.fp16.safetensors, the folder of a training run
(its newest snapshot is used), an embedded model by name, or an exactly solvable
Gaussian mixture (*.gmm.json).`

// openModel loads what a MODEL argument names. An empty name, which a script with an unset variable gives, is none.
func openModel(arg string) (*model, error) { return openModelAs(arg, "") }

// openModelAs is openModel for weights of OpenAI's programs, about which arch says what their shapes do not.
func openModelAs(arg, arch string) (*model, error) {
	if e, ok := zoo.Entries()[arg]; ok {
		return embeddedModel(arg, e)
	}
	info, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) {
		err := fmt.Errorf("model %q: no such file, run folder or embedded model", arg)
		return nil, hintEmbedded(err, arg)
	}
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if unet.IsUNet2D(arg) {
		return diffusersModel(arg)
	}
	path := arg
	if info.IsDir() {
		if path, err = newestSnapshot(arg); err != nil {
			return nil, err
		}
	}
	sum := laterHash(path) // beside loading
	var m *model
	if strings.HasSuffix(path, ".gmm.json") {
		m, err = analyticModel(path)
	} else {
		m, err = networkModel(path, arch)
	}
	if err != nil {
		return nil, err
	}
	m.path, m.name = path, filepath.Base(path)
	if info.IsDir() {
		m.name = filepath.Base(filepath.Clean(arg)) + "/" + m.name
	}
	hash, err := sum()
	if err != nil {
		return nil, err
	}
	m.sha = hash[:12]
	return m, nil
}

// laterHash begins to hash a file and returns what waits for the result.
func laterHash(path string) func() (string, error) {
	type result struct {
		sum string
		err error
	}
	c := make(chan result, 1)
	go func() {
		sum, err := fileHash(path)
		c <- result{sum, err}
	}()
	return func() (string, error) {
		r := <-c
		return r.sum, r.err
	}
}

// openModel is openWeights for inference: the weights can only be used to evaluate the network, without gradients.
func (u *ui) openModel(arg string) (*model, error) {
	m, err := u.openWeights(arg)
	if err == nil {
		m.pack()
	}
	return m, err
}

// openWeights is openModel in the precision that was asked for; it warns of weights with which nothing can be computed.
func (u *ui) openWeights(arg string) (*model, error) {
	m, err := openModel(arg)
	if err == nil {
		u.adjust(m)
	}
	return m, err
}

// adjust makes the network compute in the precision that was asked for, and warns of weights with which nothing can be computed.
func (u *ui) adjust(m *model) {
	u.warnOfWeights(m)
	if m.net != nil {
		m.net.Net = m.net.Net.WithPrecision(u.precision.precision())
	}
}

// pack makes the network fit for evaluation only.
func (m *model) pack() {
	if m.net != nil {
		m.net.Net = m.net.Net.Packed()
	}
}

// warnOfWeights counts the weights of a model with which nothing can be computed.
func (u *ui) warnOfWeights(m *model) {
	if m.net == nil {
		return
	}
	if n, first := m.net.Net.NotFinite(); n > 0 {
		u.warn("model %s: %d of its weights are infinite or no numbers, the first in %s; its pictures will be too", m.name, n, first)
	}
}

// hintEmbedded adds the names that need no file to an error about one that does not exist.
func hintEmbedded(err error, name string) error {
	names := sortedKeys(zoo.Entries())
	return withHint(err, "%sembedded models: %s", didYouMean(name, names), strings.Join(names, ", "))
}

func embeddedModel(name string, e zoo.Entry) (*model, error) {
	b, err := e.Read()
	if err != nil {
		return nil, fmt.Errorf("embedded model %s: %w", name, err)
	}
	f, err := checkpoint.OpenBytes(b)
	if err != nil {
		return nil, fmt.Errorf("embedded model %s: %w", name, err)
	}
	net, err := unet.ReadModel(f)
	if err != nil {
		return nil, fmt.Errorf("embedded model %s: %w", name, err)
	}
	m, err := fromNetwork(net)
	if err != nil {
		return nil, fmt.Errorf("embedded model %s: %w", name, err)
	}
	sum := sha256.Sum256(b)
	m.name, m.sha, m.defaults = name, hex.EncodeToString(sum[:6]), e
	return m, nil
}

func networkModel(path, arch string) (*model, error) {
	net, err := unet.LoadModelAs(path, arch)
	if err != nil {
		return nil, hintArch(err)
	}
	m, err := fromNetwork(net)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", path, err)
	}
	return m, nil
}

// fromNetwork dresses a network as a model with EDM's sampling settings.
func fromNetwork(net *unet.Model) (*model, error) {
	p, err := net.Preconditioning()
	if err != nil {
		return nil, err
	}
	c := net.Net.Config
	var size trainingCard
	size.Height, size.Width = c.PictureSize()
	// Models of other origin may have another kind of record here, or none: then the network's own size holds.
	var trained trainingCard
	if json.Unmarshal(net.Training, &trained) == nil && c.CheckSize(trained.Height, trained.Width) == nil {
		size = trained
	}
	defaults := edmSettings()
	if s := net.Sampling; s != nil {
		defaults = zoo.Entry{Sampler: s.Sampler, Steps: s.Steps, SigmaMin: s.SigmaMin, SigmaMax: s.SigmaMax, Rho: s.Rho, Skip: s.Skip, Few: s.Few}
	}
	m := &model{
		channels: c.InChannels, height: size.Height, width: size.Width,
		labels: c.LabelDim, classes: net.Classes, low: net.ImageRange[0], high: net.ImageRange[1],
		precond: p, defaults: defaults, net: net,
	}
	s, err := net.Scheduler()
	if err == nil && net.Diffusers != nil && net.Sampling == nil {
		m.defaults, m.suited = schedulerSettings(s, m)
		m.scheduler = s.Class
	}
	return m, err
}

func analyticModel(path string) (*model, error) {
	g, err := sampler.OpenGMM(path)
	if err != nil {
		return nil, err
	}
	return &model{
		channels: g.Shape[0], height: g.Shape[1], width: g.Shape[2], low: -1, high: 1,
		precond: schedule.Precond{SigmaMax: math.Inf(1)}, defaults: edmSettings(), gmm: g,
	}, nil
}

// edmSettings are the settings of a model that brings none: EDM's for small pictures.
func edmSettings() zoo.Entry {
	g := defaultGrid()
	return zoo.Entry{Sampler: "heun", Steps: g.steps, SigmaMin: g.sigmaMin, SigmaMax: g.sigmaMax, Rho: g.rho}
}

// size is the number of values of one picture.
func (m *model) size() int { return m.channels * m.height * m.width }

// denoiser returns the model's denoiser for a batch of len(labels) pictures; label -1 is "no class".
func (m *model) denoiser(labels []int) sampler.Denoiser {
	if m.gmm != nil {
		return m.gmm.Denoise
	}
	d := unet.Denoiser{Net: m.net.Net, Precond: m.precond, Height: m.height, Width: m.width}
	if m.labels > 0 {
		d.Labels = labels
	}
	return d.At
}

// className is the name of a class, its number if it has no name, "" for no class.
func (m *model) className(i int) string {
	switch {
	case i < 0:
		return ""
	case i < len(m.classes):
		return m.classes[i]
	}
	return strconv.Itoa(i)
}

// parseClasses reads --class: names or numbers separated by commas, or "none".
func (m *model) parseClasses(s string) ([]int, error) {
	if m.labels == 0 {
		return nil, usagef("--class %s: the model %s has no classes", s, m.name)
	}
	var list []int
	for _, part := range strings.Split(s, ",") {
		c, err := m.parseClass(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// parseClass finds one class: by its very name first, since a name may be a number and not its own.
func (m *model) parseClass(s string) (int, error) {
	if i := slices.Index(m.classes, s); i >= 0 {
		return i, nil
	}
	if i, err := strconv.Atoi(s); err == nil && i >= 0 && i < m.labels {
		return i, nil
	}
	if s == "none" {
		return -1, nil
	}
	i := slices.IndexFunc(m.classes, func(name string) bool { return plainName(name) == plainName(s) })
	if i < 0 {
		valid := append(slices.Clone(m.classes), fmt.Sprintf("0 to %d", m.labels-1), "none")
		return 0, withHint(usagef("unknown class %q", s), "classes of %s: %s", m.name, strings.Join(valid, ", "))
	}
	return i, nil
}

// plainName is what names of classes that mean the same agree in: letters and digits, whatever their case.
func plainName(s string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(s))
}

// newestSnapshot finds the last model that a training run has saved.
func newestSnapshot(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("model: %w", err)
	}
	newest, most := "", -1
	for _, e := range entries {
		if n := snapshotImages(e.Name()); n > most {
			newest, most = e.Name(), n
		}
	}
	if newest == "" {
		err := fmt.Errorf("folder %s holds no snapshot-*.safetensors of a training run", dir)
		return "", withHint(err, "a run saves a snapshot when it ends or is interrupted, and every --snapshot-ticks")
	}
	return filepath.Join(dir, newest), nil
}

// snapshotImages reads the count of images in a snapshot's name, -1 if it is not one.
func snapshotImages(name string) int {
	digits, snapshot := strings.CutPrefix(strings.TrimSuffix(name, ".safetensors"), "snapshot-")
	n, err := strconv.Atoi(digits)
	if !snapshot || err != nil || !strings.HasSuffix(name, ".safetensors") {
		return -1
	}
	return n
}

// fileHash returns a file's SHA-256 in hexadecimal.
func fileHash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// completeModel offers the embedded models and files.
func completeModel(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, n := range sortedKeys(zoo.Entries()) {
		names = append(names, n+"\t"+zoo.Entries()[n].Title)
	}
	return names, cobra.ShellCompDirectiveDefault
}
