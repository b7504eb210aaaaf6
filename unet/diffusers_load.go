package unet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"diffuse/checkpoint"
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
	s, err := readScheduler(dir, c)
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
	m := &Model{Net: empty(c), Card: s.card(c)}
	m.Diffusers = &DiffusersOrigin{UNet: string(text), Scheduler: s.text}
	if _, err := m.Preconditioning(); err != nil {
		return nil, s, err
	}
	return m, s, m.Net.Import(tensors)
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
