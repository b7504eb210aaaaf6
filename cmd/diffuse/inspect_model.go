package main

import (
	"fmt"
	"strings"

	"diffuse/checkpoint"
	"diffuse/unet"
)

// describeModelFile describes one of our model files without decoding its weights twice.
func describeModelFile(c *checkpoint.File) (*finding, error) {
	m, err := unet.ReadModel(c)
	if err != nil {
		return nil, err
	}
	return describeModel("diffuse model", m, c.Tensors), nil
}

// describeModel describes a network whose weights are stored as tensors.
func describeModel(kind string, m *unet.Model, tensors map[string]*checkpoint.Tensor) *finding {
	cfg := m.Net.Config
	h, w := cfg.PictureSize()
	cost := networkCost(m.Net, h, w)
	types := map[string]int{}
	for _, t := range tensors {
		types[string(t.DType)]++
	}
	f := &finding{Kind: kind}
	f.fact("network", "%s, %d×%d, %s, height and width multiples of %d", cfg.ModelType, h, w, plural(cfg.InChannels, "channel"), cfg.Multiple())
	if cfg.LabelDim > 0 && len(m.Classes) == 0 {
		f.fact("classes", "%d, without names", cfg.LabelDim)
	} else if cfg.LabelDim > 0 {
		f.fact("classes", "%d: %s", cfg.LabelDim, strings.Join(m.Classes, ", "))
	}
	if d := m.Discrete; d != nil {
		f.fact("preconditioning", "%s, %d steps, %s betas, the network returns %s", m.Precond, d.NumTrainTimesteps, d.BetaSchedule, d.PredictionType)
	} else {
		f.fact("preconditioning", "%s, sigma_data %g", m.Precond, m.SigmaData)
	}
	f.fact("parameters", "%d in %d tensors, stored as %s", cost.Parameters, len(tensors), strings.Join(sortedKeys(types), " and "))
	f.fact("arithmetic", "%.3f GFLOP per picture and evaluation", cost.GFLOP)
	f.fact("memory", "%.1f MB for the weights", 4*float64(cost.Parameters)/1e6)
	f.fact("activations", "about %.1f MB per picture to sample, %.1f MB to train", float64(cost.SampleBytes)/1e6, float64(cost.TrainBytes)/1e6)
	broken, first := m.Net.NotFinite()
	if broken > 0 {
		f.fact("not usable", "%d weights are infinite or no numbers, the first in %s", broken, first)
	}
	f.fact("skip connections", "%d", m.Net.Skips())
	f.fact("config", "%s", cfg.JSON())
	if m.Description != "" {
		f.fact("description", "%s", m.Description)
	}
	if m.License != "" {
		f.fact("license", "%s", m.License)
	}
	if m.ImagesTrained > 0 {
		f.fact("trained on", "%s images", count(float64(m.ImagesTrained)))
	}
	if len(m.Training) > 0 {
		f.fact("training", "%s", string(m.Training))
	}
	f.table = costTable(cost, false)
	f.list, f.arrays, _ = tensorTable(sortedKeys(tensors), tensors)
	f.value = map[string]any{"card": m.Card, "cost": cost, "skips": m.Net.Skips(), "weights_not_finite": broken, "stored_as": sortedKeys(types)}
	return f
}

func percent(part, whole float64) string { return fmt.Sprintf("%.1f%%", 100*part/whole) }
