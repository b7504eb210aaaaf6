package report

import "strings"

// A kind says how a number of stats.jsonl or metrics.jsonl is shown.
type kind struct {
	name   string // in the file
	title  string
	unit   string
	group  string
	log    bool    // drawn on a logarithmic axis at first
	zero   bool    // the axis begins at 0
	better int     // -1: low is good, 1: high is good
	scale  float64 // shown are file's numbers times scale; 0 is 1
}

// The groups of charts, in the order of the page.
const (
	groupLoss      = "Loss"
	groupLevels    = "Loss by noise level"
	groupQuality   = "Quality of the pictures"
	groupOptimizer = "Optimizer"
	groupMachine   = "Speed and memory"
	groupOther     = "Other numbers"
)

var groups = []string{groupLoss, groupLevels, groupQuality, groupOptimizer, groupOther, groupMachine}

// statKinds are the numbers of stats.jsonl that have a title, in the order of their charts. Others are called by their names.
var statKinds = []kind{
	{name: "loss", title: "Training loss", group: groupLoss, log: true, better: -1},
	{name: "loss_fake", title: "Loss of the fake network", group: groupLoss, log: true, better: -1},
	{name: "loss_generator", title: "Loss of the generator", group: groupLoss},
	{name: "loss_critic", title: "Loss of the critic", group: groupLoss},
	{name: "loss_adversarial", title: "Adversarial loss of the generator", group: groupLoss},
	{name: "lr", title: "Learning rate", group: groupOptimizer},
	{name: "lr_fake", title: "Learning rate of the fake network", group: groupOptimizer},
	{name: "lr_generator", title: "Learning rate of the generator", group: groupOptimizer},
	{name: "grad_norm", title: "Gradient norm, mean of a tick", group: groupOptimizer, log: true},
	{name: "max_grad_norm", title: "Gradient norm, largest in a tick", group: groupOptimizer, log: true},
	{name: "grad_norm_fake", title: "Gradient norm of the fake network", group: groupOptimizer, log: true},
	{name: "grad_norm_generator", title: "Gradient norm of the generator", group: groupOptimizer, log: true},
	{name: "ema_beta", title: "Share of the old average in a step", group: groupOptimizer},
	{name: "dropped", title: "Pictures dropped, not finite", group: groupOptimizer, zero: true, better: -1},
	{name: "cleaned", title: "Gradient values replaced, not finite", group: groupOptimizer, zero: true, better: -1},
	{name: "images_per_sec", title: "Speed", unit: "images/s", group: groupMachine, zero: true},
	{name: "sec_per_tick", title: "Time in steps, per tick", unit: "s", group: groupMachine, zero: true},
	{name: "sec_maintenance", title: "Time for pictures, snapshots, checkpoints", unit: "s", group: groupMachine, zero: true},
	{name: "peak_memory_bytes", title: "Peak memory", unit: "MB", group: groupMachine, zero: true, scale: 1e-6},
}

// notDrawn are numbers of stats.jsonl that say where a line belongs.
var notDrawn = map[string]bool{"tick": true, "nimg": true, "images": true, "steps": true, "timestamp": true}

// statKind finds how a number of stats.jsonl is shown, and its place among the charts.
func statKind(name string) (kind, int) {
	for i, k := range statKinds {
		if k.name == name {
			return k, i
		}
	}
	k := kind{name: name, title: name, group: groupOther}
	switch {
	case strings.Contains(name, "grad_norm"):
		k.group, k.log = groupOptimizer, true
	case strings.Contains(name, "loss"):
		k.group = groupLoss
	}
	return k, len(statKinds)
}

// metricKinds are what the metrics of "diffuse eval" are called; the first whose name begins a metric's is its kind.
var metricKinds = []kind{
	{name: "fid", title: "Fréchet Inception distance", log: true, better: -1},
	{name: "fd", title: "Fréchet distance", log: true, better: -1},
	{name: "kid", title: "Kernel Inception distance", better: -1},
	{name: "kd", title: "Kernel distance", better: -1},
	{name: "sw", title: "Sliced Wasserstein distance", log: true, better: -1},
	{name: "is", title: "Inception Score", better: 1},
	{name: "accuracy", title: "Accuracy", better: 1},
	{name: "precision", title: "Precision", better: 1},
	{name: "recall", title: "Recall", better: 1},
	{name: "density", title: "Density", better: 1},
	{name: "coverage", title: "Coverage", better: 1},
	{name: "authenticity", title: "Authenticity", better: 1},
}

// metricKind finds how a metric is shown, and its place among the charts. Its own name stays in the title: it says which features were compared.
func metricKind(name string) (kind, int) {
	for i, k := range metricKinds {
		if rest, ok := strings.CutPrefix(name, k.name); ok && (rest == "" || !('a' <= rest[0] && rest[0] <= 'z')) {
			if rest != "" {
				k.title += " (" + name + ")"
			}
			k.name, k.group = name, groupQuality
			return k, i
		}
	}
	return kind{name: name, title: name, group: groupQuality}, len(metricKinds)
}
