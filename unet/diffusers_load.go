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

// weightStem is how diffusers calls a network's weights.
const weightStem = "diffusion_pytorch_model"

// UNet2DWeights finds the weights of a network of diffusers, and the folder that holds them and the network's config.json. path is a
// folder - a pipeline with its network in the sub-folder unet, one of the oldest, which have all in one place, or a bare network -, of which the
// best weights are chosen as [checkpoint.OpenWeightFolder] does, or one of its files of weights, such as that of a variant. folder is "" if path
// is nothing of the kind; the error is about the weights.
func UNet2DWeights(path string) (folder, weights string, err error) {
	if checkpoint.IsWeights(filepath.Base(path), weightStem) {
		if folder = unet2DFolder(filepath.Dir(path)); folder == filepath.Dir(path) {
			return folder, path, nil
		}
		return "", "", nil
	}
	if folder = unet2DFolder(path); folder != "" {
		weights, err = checkpoint.BestWeights(folder, weightStem)
	}
	return folder, weights, err
}

// IsUNet2D says whether [UNet2DWeights] finds a network of diffusers at path.
func IsUNet2D(path string) bool {
	folder, _, _ := UNet2DWeights(path)
	return folder != ""
}

// unet2DFolder finds the folder with the network's config.json in dir, "" if there is none.
func unet2DFolder(dir string) string {
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

// LoadUNet2D reads a UNet2DModel as diffusers writes it, from what [UNet2DWeights] finds: weights as safetensors or .bin, whole or in shards.
// The scheduler's configuration, DDPM's where there is none, gives the preconditioning.
func LoadUNet2D(path string) (*Model, Scheduler, error) {
	m, s, err := loadUNet2D(path)
	if err != nil {
		return nil, s, fmt.Errorf("loading the network of %s: %w", path, err)
	}
	return m, s, nil
}

func loadUNet2D(path string) (*Model, Scheduler, error) {
	dir, weights, err := UNet2DWeights(path)
	if err == nil && dir == "" {
		err = errors.New("no config.json of a network of diffusers")
	}
	if err != nil {
		return nil, Scheduler{}, err
	}
	text, err := readJSON(filepath.Join(dir, "config.json"))
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
	f, err := checkpoint.OpenShards(weights)
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
