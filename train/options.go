package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// Options are the knobs of a training run; their JSON form is stored in the run folder. Counts of images include
// repeated showings. Start from DefaultOptions: the zero value is not valid.
type Options struct {
	Seed     uint64 `json:"seed"`     // keys every random draw and the order of the pictures
	Duration int64  `json:"duration"` // images to show in all; the last batch is always a full one

	Batch      int `json:"batch"`      // images per step
	Microbatch int `json:"microbatch"` // images per forward and backward pass; passes run in parallel; 0 means 16

	// CheckpointBlocks saves memory: passes run one after the other and add to one gradient, and the network is to keep the
	// results of its blocks only (see unet.Inputs; that is up to Network's maker).
	CheckpointBlocks bool `json:"checkpoint_blocks,omitempty"`

	LR              float64 `json:"lr"`                // Adam's learning rate after the ramp
	LRRampup        int64   `json:"lr_rampup"`         // images over which the rate rises linearly from 0
	LRDecay         string  `json:"lr_decay"`          // DecayNone, DecayCosine or DecayLinear: the way down to 0 at Duration
	LRDecayFraction float64 `json:"lr_decay_fraction"` // part of Duration, at its end, that the way down takes

	Beta1 float64 `json:"beta1"` // Adam's decay of the mean gradient
	Beta2 float64 `json:"beta2"` // Adam's decay of the mean squared gradient
	Eps   float64 `json:"eps"`   // Adam's guard against division by zero
	Clip  float64 `json:"clip"`  // largest L2 norm of the whole gradient; 0 turns clipping off

	EMAHalfLife int64   `json:"ema_halflife"` // images after which a weight's share in the EMA has halved
	EMARampup   float64 `json:"ema_rampup"`   // the half-life is at most this times the images seen; negative turns that off

	// EMAStds are the relative standard deviations of two more averages, along power functions, which [ReconstructEMA] makes others from
	// afterwards; zeros: none. They are stored with every snapshot, and take twice the weights' memory.
	EMAStds [2]float64 `json:"ema_stds,omitzero"`

	Objective // in JSON, its fields stand among these

	PMean     float64 `json:"p_mean"`     // mean of ln sigma, of noise "lognormal"
	PStd      float64 `json:"p_std"`      // standard deviation of ln sigma, likewise
	SigmaData float64 `json:"sigma_data"` // standard deviation of the pictures, in [-1, 1] units

	Flip         bool    `json:"flip"`          // mirror every other image, left to right, by chance
	ClassDropout float64 `json:"class_dropout"` // probability of showing a labelled image without its label

	Tick            int64 `json:"tick"`             // images per line of statistics
	CheckpointTicks int   `json:"checkpoint_ticks"` // ticks between checkpoints
	PictureTicks    int   `json:"picture_ticks"`    // ticks between picture grids; 0 means only at the end
	SnapshotTicks   int   `json:"snapshot_ticks"`   // ticks between snapshots of the EMA; 0 means only at the end
}

// The ways in which Options.LRDecay lets the learning rate end.
const (
	DecayNone   = "none"   // it stays
	DecayCosine = "cosine" // half a cosine wave to 0
	DecayLinear = "linear" // a straight line to 0
)

// DefaultOptions returns EDM's loss and Adam, with a batch, ramps and duration that suit a small network on one machine.
func DefaultOptions() Options {
	return Options{
		Duration: 5_000_000,
		Batch:    128,

		LR: 1e-3, LRRampup: 100_000, LRDecay: DecayNone, LRDecayFraction: 1,

		Beta1: 0.9, Beta2: 0.999, Eps: 1e-8,

		EMAHalfLife: 200_000, EMARampup: 0.05,

		Objective: DefaultObjective(), PMean: -1.2, PStd: 1.2, SigmaData: 0.5,

		Tick: 50_000, CheckpointTicks: 1, PictureTicks: 1, SnapshotTicks: 10,
	}
}

// MaxBatch bounds a batch, all of which is in memory at once: so a slip of the keyboard is an error and not the end of memory.
const MaxBatch = 1 << 20

// Validate reports everything that is wrong with the options at once, naming the JSON fields, or nil.
func (o Options) Validate() error {
	var errs []error
	need := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s is %v, want %s", field, value, want))
		}
	}
	need(o.Duration > 0, "duration", o.Duration, "a positive number of images")
	need(o.Batch > 0 && o.Batch <= MaxBatch, "batch", o.Batch, fmt.Sprintf("1 to %d images", MaxBatch))
	need(o.Microbatch >= 0 && o.Microbatch <= o.Batch, "microbatch", o.Microbatch, "0 to batch images")
	need(o.LR >= 0 && o.LR <= math.MaxFloat32, "lr", o.LR, "0 or more")
	need(o.LRRampup >= 0, "lr_rampup", o.LRRampup, "0 or more images")
	need(o.LRDecay == DecayNone || o.LRDecay == DecayCosine || o.LRDecay == DecayLinear, "lr_decay", fmt.Sprintf("%q", o.LRDecay),
		fmt.Sprintf("%q, %q or %q", DecayNone, DecayCosine, DecayLinear))
	need(o.LRDecayFraction > 0 && o.LRDecayFraction <= 1, "lr_decay_fraction", o.LRDecayFraction, "more than 0 and at most 1")
	need(o.Beta1 >= 0 && o.Beta1 < 1, "beta1", o.Beta1, "0 or more and less than 1")
	need(o.Beta2 >= 0 && o.Beta2 < 1, "beta2", o.Beta2, "0 or more and less than 1")
	need(o.Eps >= 0 && o.Eps <= math.MaxFloat32, "eps", o.Eps, "0 or more")
	need(o.Clip >= 0 && o.Clip <= math.MaxFloat32, "clip", o.Clip, "0 (off) or more")
	need(o.EMAHalfLife >= 0, "ema_halflife", o.EMAHalfLife, "0 or more images")
	need(!math.IsNaN(o.EMARampup) && !math.IsInf(o.EMARampup, 0), "ema_rampup", o.EMARampup, "a ratio, or a negative number (off)")
	need(o.EMAStds == [2]float64{} || o.EMAStds[0] != o.EMAStds[1] && min(o.EMAStds[0], o.EMAStds[1]) >= 0.001 && max(o.EMAStds[0], o.EMAStds[1]) <= widestEMA,
		"ema_stds", o.EMAStds, fmt.Sprintf("two different numbers from 0.001 to %v, or zeros", widestEMA))
	need(math.Abs(o.PMean) < 100, "p_mean", o.PMean, "a mean of ln sigma between -100 and 100")
	need(o.PStd >= 0 && o.PStd < 100, "p_std", o.PStd, "0 or more and less than 100")
	need(o.SigmaData > 0 && o.SigmaData < 1e6, "sigma_data", o.SigmaData, "a positive number")
	need(o.ClassDropout >= 0 && o.ClassDropout <= 1, "class_dropout", o.ClassDropout, "a probability")
	need(o.Tick > 0, "tick", o.Tick, "a positive number of images")
	need(o.CheckpointTicks > 0, "checkpoint_ticks", o.CheckpointTicks, "1 or more ticks")
	need(o.PictureTicks >= 0, "picture_ticks", o.PictureTicks, "0 or more ticks")
	need(o.SnapshotTicks >= 0, "snapshot_ticks", o.SnapshotTicks, "0 or more ticks")
	if o.SigmaData > 0 {
		errs = append(errs, o.validateObjective()...)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("training options: %w", err)
	}
	return nil
}

// UnmarshalOptions reads options from their JSON form; fields that are absent keep their defaults, unknown ones are an
// error, and the result is validated.
func UnmarshalOptions(data []byte) (Options, error) {
	o := DefaultOptions()
	if err := strictUnmarshal(data, &o); err != nil {
		return Options{}, fmt.Errorf("training options: %w", err)
	}
	return o, o.Validate()
}

// strictUnmarshal decodes one JSON value into v and rejects unknown fields and anything that follows.
func strictUnmarshal(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more text after the JSON value")
	}
	return nil
}

// microbatch is the number of images per pass. Its default keeps the activations of a small network in a processor's
// second-level cache; it must not depend on the machine, since results depend on it in their last bits.
func (o Options) microbatch() int {
	if o.Microbatch == 0 {
		return min(16, o.Batch)
	}
	return o.Microbatch
}
