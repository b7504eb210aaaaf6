package unet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"diffuse/schedule"
)

// A Scheduler is what a folder of diffusers says about sampling, under the names of scheduler_config.json. What is absent there has the
// default of its class.
type Scheduler struct {
	Class string `json:"_class_name"` // such as "DDPMScheduler"; "" if the folder has none
	schedule.Trained

	Spacing      string  `json:"timestep_spacing"`
	StepsOffset  int     `json:"steps_offset"`
	AlphaOne     bool    `json:"set_alpha_to_one"`
	ClipSample   bool    `json:"clip_sample"`
	ClipRange    float64 `json:"clip_sample_range"`
	ClipDenoised bool    `json:"clip_denoised"`
	Thresholding bool    `json:"thresholding"`
	Quantile     float64 `json:"dynamic_thresholding_ratio"`
	MaxValue     float64 `json:"sample_max_value"`
	Variance     string  `json:"variance_type"`
	Order        int     `json:"solver_order"`
	Algorithm    string  `json:"algorithm_type"`
	SolverType   string  `json:"solver_type"`
	LowerFinal   bool    `json:"lower_order_final"`
	EulerFinal   bool    `json:"euler_at_final"`
	FinalSigmas  string  `json:"final_sigmas_type"`
	Karras       bool    `json:"use_karras_sigmas"`
	Exponential  bool    `json:"use_exponential_sigmas"`
	Beta         bool    `json:"use_beta_sigmas"`
	Lu           bool    `json:"use_lu_lambdas"`
	SkipPRK      bool    `json:"skip_prk_steps"`
	Disable      []int   `json:"disable_corrector"`
	Predictor    int     `json:"predictor_order"`
	Corrector    int     `json:"corrector_order"`

	SigmaMin      float64 `json:"sigma_min"`
	SigmaMax      float64 `json:"sigma_max"`
	SigmaData     float64 `json:"sigma_data"`
	Rho           float64 `json:"rho"`
	SigmaSchedule string  `json:"sigma_schedule"`

	text string // all of the file
}

// schedulerDefaults returns the settings that a scheduler of the class takes for absent keys.
func schedulerDefaults(class string) Scheduler {
	s := Scheduler{Trained: schedule.DefaultTrained(), Spacing: schedule.SpacingLinspace, AlphaOne: true, ClipRange: 1, Quantile: 0.995, MaxValue: 1,
		Order: 2, LowerFinal: true, FinalSigmas: "zero", Predictor: 2, Corrector: 2, Variance: "fixed_small",
		SigmaMin: 0.002, SigmaMax: 80, SigmaData: 0.5, Rho: 7, ClipDenoised: true}
	switch class {
	case "DDPMScheduler", "DDIMScheduler", "":
		s.Spacing, s.ClipSample = schedule.SpacingLeading, true
	case "PNDMScheduler":
		s.Spacing, s.AlphaOne = schedule.SpacingLeading, false
	case "HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DPMSolverSDEScheduler":
		s.BetaStart, s.BetaEnd = 0.00085, 0.012
	case "LCMScheduler", "TCDScheduler":
		s.BetaStart, s.BetaEnd, s.BetaSchedule, s.Spacing = 0.00085, 0.012, "scaled_linear", schedule.SpacingLCM
	case "DPMSolverSinglestepScheduler":
		s.LowerFinal = false
	case "CMStochasticIterativeScheduler":
		s.NumTrainTimesteps = 40
	case "ScoreSdeVeScheduler":
		s.SigmaMin, s.SigmaMax = 0.01, 1348
	}
	return s
}

// unlike are the schedulers whose networks see something else than what is built in here.
var unlike = []string{"KarrasVeScheduler", "ScoreSdeVpScheduler", "FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler", "IPNDMScheduler"}

// ParseScheduler reads a scheduler_config.json, which may hold Python's infinities. Schedulers whose networks are not built in are refused.
func ParseScheduler(text []byte) (Scheduler, error) {
	clean := finiteJSON(text)
	var c struct {
		Class string `json:"_class_name"`
	}
	if err := json.Unmarshal(clean, &c); err != nil {
		return Scheduler{}, err
	}
	s := schedulerDefaults(c.Class)
	if err := json.Unmarshal(clean, &s); err != nil {
		return s, err
	}
	s.text = string(text)
	if s.Spacing == "" || strings.HasPrefix(s.Class, "LCM") || strings.HasPrefix(s.Class, "TCD") {
		s.Spacing = schedulerDefaults(s.Class).Spacing
	}
	if slices.Contains(unlike, s.Class) {
		return s, fmt.Errorf("the preconditioning of %s is not built in for networks of diffusers", s.Class)
	}
	return s, nil
}

// notJSON finds numbers of Python's that JSON has none for, outside of strings as the library writes them.
var notJSON = regexp.MustCompile(`([:\[,]\s*)(-?Infinity|NaN)(\s*[,\]}])`)

// finiteJSON puts null, which leaves a default as it is, in the place of infinities.
func finiteJSON(text []byte) []byte {
	if !bytes.Contains(text, []byte("Infinity")) && !bytes.Contains(text, []byte("NaN")) {
		return text
	}
	return notJSON.ReplaceAll(text, []byte("${1}null${3}"))
}

// readScheduler reads the scheduler's configuration that stands beside a network's folder or in it. Without one, a network with Fourier features, which embed noise levels, has
// that of ScoreSdeVe, any other DDPM's; both are without a class.
func readScheduler(dir string, c Config) (Scheduler, error) {
	places := []string{filepath.Join(dir, "scheduler"), dir}
	if filepath.Base(dir) == "unet" {
		places = []string{filepath.Join(filepath.Dir(dir), "scheduler"), filepath.Dir(dir)}
	}
	for _, place := range places {
		path := filepath.Join(place, "scheduler_config.json")
		b, err := readJSON(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var s Scheduler
		if err == nil {
			s, err = ParseScheduler(b)
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		return s, nil
	}
	if c.EmbeddingType == "fourier" {
		s := schedulerDefaults("ScoreSdeVeScheduler")
		return s, nil
	}
	return schedulerDefaults(""), nil
}

// Scheduler returns how a model from diffusers was to be sampled; that of other models has no class. The error is that of [ParseScheduler].
func (m *Model) Scheduler() (Scheduler, error) {
	if m.Diffusers == nil || m.Diffusers.Scheduler == "" {
		return schedulerDefaults(""), nil
	}
	return ParseScheduler([]byte(m.Diffusers.Scheduler))
}

// card describes a network that is used as the scheduler uses it.
func (s *Scheduler) card(c Config) Card {
	card := Card{Config: c, SigmaData: 0.5, ImageRange: [2]float64{-1, 1}, Description: "UNet2DModel of diffusers"}
	switch {
	case s.Class == "EDMEulerScheduler" || s.Class == "EDMDPMSolverMultistepScheduler":
		card.Precond, card.SigmaData = "edm", s.SigmaData
		if s.PredictionType == "v_prediction" {
			card.Precond = "edm-v"
		}
	case s.Class == "CMStochasticIterativeScheduler":
		card.Precond, card.SigmaData, card.SigmaRange = "consistency", s.SigmaData, &[2]float64{s.SigmaMin, s.SigmaMax}
	case s.Class == "ScoreSdeVeScheduler" || s.Class == "" && c.EmbeddingType == "fourier": // pictures from 0 to 1
		card.Precond, card.SigmaRange, card.ImageRange = "score", &[2]float64{s.SigmaMin, s.SigmaMax}, [2]float64{0, 1}
	default:
		card.Precond, card.Discrete = "discrete", &s.Trained
	}
	return card
}
