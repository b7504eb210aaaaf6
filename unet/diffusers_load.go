package unet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"diffuse/checkpoint"
	"diffuse/schedule"
)

// maxJSON bounds a configuration file.
const maxJSON = 1 << 20

// UNet2DFolder finds the folder with the network's config.json in a folder of
// diffusers: the sub-folder unet of a pipeline or, in the oldest ones and for a bare
// network, the folder itself. It is "" if there is none.
func UNet2DFolder(dir string) string {
	for _, d := range []string{filepath.Join(dir, "unet"), dir} {
		var j struct {
			Class string `json:"_class_name"`
		}
		b, err := readJSON(filepath.Join(d, "config.json"))
		if err == nil && json.Unmarshal(b, &j) == nil && j.Class != "" {
			return d
		}
	}
	return ""
}

// A Scheduler is what a folder of diffusers says about sampling.
type Scheduler struct {
	Class string `json:"_class_name"` // such as "DDPMScheduler"; "" if the folder has none
	schedule.Trained
	text string // all of the file
}

// LoadUNet2D reads a UNet2DModel from a folder as diffusers writes it: a pipeline or a bare network, weights as safetensors or
// .bin, whole, in shards or as a variant (see [checkpoint.OpenWeightFolder]). The scheduler's
// configuration, DDPM's where there is none, gives the preconditioning.
func LoadUNet2D(dir string) (*Model, Scheduler, error) {
	m, s, err := loadUNet2D(dir)
	if err != nil {
		return nil, s, fmt.Errorf("loading the network of folder %s: %w", dir, err)
	}
	return m, s, nil
}

func loadUNet2D(dir string) (*Model, Scheduler, error) {
	netDir := UNet2DFolder(dir)
	if netDir == "" {
		return nil, Scheduler{}, errors.New("no config.json of a network of diffusers")
	}
	text, err := readJSON(filepath.Join(netDir, "config.json"))
	if err != nil {
		return nil, Scheduler{}, err
	}
	c, err := ParseUNet2D(text)
	if err != nil {
		return nil, Scheduler{}, err
	}
	s, err := readScheduler(dir)
	if err != nil {
		return nil, s, err
	}
	f, err := checkpoint.OpenWeightFolder(netDir, "diffusion_pytorch_model")
	if err != nil {
		return nil, s, err
	}
	defer f.Close()
	tensors, err := outline(c).fromUNet2D(f.Tensors)
	if err != nil {
		return nil, s, err
	}
	m := &Model{Net: empty(c), Card: Card{Config: c, Precond: "discrete", Discrete: &s.Trained, SigmaData: 0.5, ImageRange: [2]float64{-1, 1},
		Description: "UNet2DModel of diffusers", Diffusers: &DiffusersOrigin{UNet: string(text), Scheduler: s.text}}}
	if _, err := m.Preconditioning(); err != nil {
		return nil, s, err
	}
	return m, s, m.Net.Import(tensors)
}

// readScheduler reads scheduler_config.json. Schedulers whose networks expect something else than steps of a variance preserving process are refused.
func readScheduler(dir string) (Scheduler, error) {
	s := Scheduler{Trained: schedule.DefaultTrained()}
	for _, path := range []string{filepath.Join(dir, "scheduler", "scheduler_config.json"), filepath.Join(dir, "scheduler_config.json")} {
		b, err := readJSON(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var more struct {
			ZeroSNR bool `json:"rescale_betas_zero_snr"`
		}
		if err == nil {
			err = errors.Join(json.Unmarshal(b, &s), json.Unmarshal(b, &more))
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		switch s.Class {
		case "CMStochasticIterativeScheduler", "EDMEulerScheduler", "EDMDPMSolverMultistepScheduler", "KarrasVeScheduler", "ScoreSdeVeScheduler",
			"ScoreSdeVpScheduler", "FlowMatchEulerDiscreteScheduler", "IPNDMScheduler":
			return s, fmt.Errorf("%s: the preconditioning of %s is not built in for networks of diffusers", filepath.Base(path), s.Class)
		}
		if more.ZeroSNR {
			return s, fmt.Errorf("%s: rescale_betas_zero_snr leaves no signal at the last step, which is not built in", filepath.Base(path))
		}
		s.text = string(b)
		return s, nil
	}
	return s, nil
}

// readJSON reads a small file.
func readJSON(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxJSON+1))
	if err == nil && len(b) > maxJSON {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxJSON)
	}
	return b, err
}
