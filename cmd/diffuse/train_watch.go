package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"

	"diffuse/distill"
	"diffuse/imageio"
	"diffuse/sampler"
	"diffuse/schedule"
	"diffuse/tensor"
	"diffuse/train"
	"diffuse/unet"
)

// A trainee is a network as package train sees it.
type trainee struct {
	unet.Denoiser
	augment *tensor.Tensor // how the pictures of the next call were augmented
}

var (
	_ train.Augmentable = trainee{}
	_ distill.Critic    = trainee{}
)

// Denoise is train.Network's; a network without classes is not told any.
func (n trainee) Denoise(t *tensor.Tape, x *tensor.Tensor, sigma []float64, labels []int, dropout []*rand.Rand) *tensor.Tensor {
	return n.Denoiser.Denoise(t, x, sigma, n.inputs(labels, dropout))
}

// Encode is distill.Critic's.
func (n trainee) Encode(t *tensor.Tape, x *tensor.Tensor, sigma []float64, labels []int, dropout []*rand.Rand) *tensor.Tensor {
	in := n.inputs(labels, dropout)
	in.EncoderOnly = true
	return n.Denoiser.Denoise(t, x, sigma, in)
}

// DenoiseEncode is distill.Critic's.
func (n trainee) DenoiseEncode(t *tensor.Tape, x *tensor.Tensor, sigma []float64, labels []int, dropout []*rand.Rand) (denoised, features *tensor.Tensor) {
	in := n.inputs(labels, dropout)
	in.OnEncoded = func(h *tensor.Tensor) { features = h }
	denoised = n.Denoiser.Denoise(t, x, sigma, in)
	return denoised, features
}

func (n trainee) inputs(labels []int, dropout []*rand.Rand) unet.Inputs {
	in := unet.Inputs{Dropout: dropout, Augment: n.augment}
	if n.LabelDim > 0 {
		in.Labels = labels
	}
	return in
}

// WithAugment is train.Augmentable's.
func (n trainee) WithAugment(labels *tensor.Tensor) train.Network {
	n.augment = labels
	return n
}

// Params is train.Network's.
func (n trainee) Params() iter.Seq2[string, *tensor.Tensor] { return n.Net.Params() }

// A watcher is a run's company: it shows progress, draws pictures and saves snapshots of the averaged weights.
type watcher struct {
	u        *ui
	settings *trainSettings
	classes  []string
	ema      *unet.Net
	bar      *progress
	loss     float64
	saved    string // the last snapshot
}

func (w *watcher) start(done float64) {
	w.bar = w.u.progress("training", "images", done, float64(w.settings.Options.Duration))
}

func (w *watcher) progress(p train.Progress) {
	w.loss = p.Loss
	w.bar.set(float64(p.Images), fmt.Sprintf("loss %.4g", p.Loss))
}

// log shows the lines of the run's log above the bar.
func (w *watcher) log(line string) {
	if w.bar != nil {
		w.bar.finish()
	}
	w.u.note("%s", line)
}

// model is the averaged network as it stands, with its card.
func (w *watcher) model(images int64) (*unet.Model, error) {
	s := w.settings
	training, err := json.Marshal(trainingCard{
		Height: s.height, Width: s.width, Grey: s.Grey, Scaled: s.Resolution != 0, Split: s.Split, Options: &s.Options,
	})
	if err != nil {
		return nil, err
	}
	return &unet.Model{
		Net: w.ema,
		Card: unet.Card{
			Config: w.ema.Config, Precond: s.Options.Precond, SigmaData: s.Options.SigmaData, ImageRange: [2]float64{-1, 1},
			Classes: w.classes, Training: training, ImagesTrained: images,
			Description: s.Description, License: s.License,
		},
	}, nil
}

// A trainingCard is what a model file says about how it was trained. It holds no paths: model files are given away.
type trainingCard struct {
	Height  int            `json:"height"`
	Width   int            `json:"width"`
	Grey    bool           `json:"grey,omitempty"`   // pictures were converted to grey
	Scaled  bool           `json:"scaled,omitempty"` // pictures were scaled and cropped
	Split   string         `json:"split,omitempty"`  // part of the data set
	Options *train.Options `json:"options,omitempty"`
	EMAStd  float64        `json:"ema_std,omitempty"` // relative standard deviation of a reconstructed average
}

// snapshot saves the averaged weights as a model file.
func (w *watcher) snapshot(t train.Tick) error {
	m, err := w.model(t.Stats.Images)
	if err != nil {
		return err
	}
	w.saved = t.Path("snapshot", ".safetensors")
	return m.Save(w.saved, w.settings.Snapshot)
}

// watchSampler and watchSteps draw the pictures that are looked at and measured during training: enough to judge them by.
const watchSampler, watchSteps = "dpmpp-2m", 12

// pictures draws a grid with the same seeds at every tick. It may take minutes at high resolution: an interrupted one is left out, which is
// no error, since a checkpoint follows.
func (w *watcher) pictures(ctx context.Context, t train.Tick) error {
	net, err := w.model(t.Stats.Images)
	if err != nil {
		return err
	}
	m, err := fromNetwork(net)
	if err != nil {
		return err
	}
	info, err := sampler.Lookup(watchSampler)
	if err != nil {
		return err
	}
	lo, hi := m.precond.Limit(0.002, 80)
	d := drawing{model: m, sampler: info, options: info.Options(), sigmas: schedule.Karras(watchSteps, lo, hi, 7)}
	var all []picture
	for _, s := range countUp(m.defaultCount(0)) {
		p := picture{s, -1}
		if m.labels > 0 {
			p.Class = int(s) % m.labels
		}
		all = append(all, p)
	}
	var images []imageio.Image
	for lo := 0; lo < len(all); lo += defaultBatch {
		batch := all[lo:min(lo+defaultBatch, len(all))]
		start, noise := d.seededNoise(batch)
		d.begin(start)
		x, err := d.draw(ctx, batch, start, noise, func(sampler.State) error { return nil })
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range batch {
			images = append(images, m.image(x[i*m.size():(i+1)*m.size()]))
		}
	}
	if c := m.channels; c != 1 && c != 3 && c != 4 {
		return nil // not a picture that PNG knows
	}
	sheet := imageio.Grid(images, m.defaultColumns(0, len(images)), gridPadding, gridGround)
	return imageio.WritePNG(t.Path("pictures", ".png"), sheet, map[string]string{
		"parameters": fmt.Sprintf("Steps: %d, Sampler: %s, Images trained: %d", watchSteps, info.Name, t.Stats.Images),
	})
}

// already says that a run was complete before it was resumed.
func (w *watcher) already(dir string, images int64) error {
	if !w.u.json {
		w.u.summary("%s: all %d images were shown already; draw with it: diffuse sample %s", dir, images, dir)
		return nil
	}
	newest, err := newestSnapshot(dir)
	if err != nil {
		return err
	}
	return w.u.result(map[string]any{"run": dir, "images": images, "snapshot": newest})
}

// conclude says what the run has left.
func (w *watcher) conclude(dir string, images int64) error {
	if w.u.json {
		return w.u.result(map[string]any{"run": dir, "images": images, "loss": w.loss, "snapshot": w.saved})
	}
	w.u.summary("%s: trained on %d images, loss %.4g; draw with it: diffuse sample %s", dir, images, w.loss, dir)
	return nil
}
