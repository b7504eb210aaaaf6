package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"diffuse/tensor"
	"diffuse/train"
	"diffuse/unet"
	"diffuse/zoo"
)

// A transfer says which model's weights a run starts from; it is part of the run's settings.
type transfer struct {
	Model   string `json:"model"`             // absolute path, or the name of an embedded model
	SHA     string `json:"sha256,omitempty"`  // first digits, of the file
	Tensors int    `json:"tensors,omitempty"` // of the run's network that were taken over
	Of      int    `json:"of,omitempty"`      // all of them; the others start at random
}

// newTransfer makes the name absolute, since a run may be resumed from another folder.
func newTransfer(arg string) (*transfer, error) {
	if _, ok := zoo.Entries()[arg]; ok {
		return &transfer{Model: arg}, nil
	}
	path, err := filepath.Abs(arg)
	return &transfer{Model: path}, err
}

// load copies the model's tensors to those of net that have the same name and shape. It fails if there is none, or if the run was started from another file.
func (t *transfer) load(u *ui, s *trainSettings, net *unet.Net) error {
	m, err := u.openWeights(t.Model)
	if err != nil {
		return fmt.Errorf("--transfer: %w", err)
	}
	if m.net == nil {
		return usagef("--transfer: %s is no network", m.name)
	}
	if t.SHA != "" && t.SHA != m.sha {
		return fmt.Errorf("--transfer: the run was started from %s with SHA-256 %s…, that file now has %s…", t.Model, t.SHA, m.sha)
	}
	theirs := map[string]*tensor.Tensor{}
	for name, w := range m.net.Net.Params() {
		theirs[name] = w
	}
	var shapes, missing []string
	t.SHA, t.Tensors, t.Of = m.sha, 0, 0
	for name, w := range net.Params() {
		t.Of++
		v, ok := theirs[name]
		delete(theirs, name)
		switch {
		case !ok:
			missing = append(missing, name)
		case !slices.Equal(v.Shape, w.Shape):
			shapes = append(shapes, fmt.Sprintf("%s %v, here %v", name, v.Shape, w.Shape))
		default:
			copy(w.Data, v.Data)
			t.Tensors++
		}
	}
	tell := func(what string, names []string) {
		if len(names) > 0 {
			u.warn("--transfer: %d tensors %s: %s", len(names), what, some(names))
		}
	}
	tell("of other shape start at random", shapes)
	tell("that the model lacks start at random", missing)
	tell("of the model have no place here", sortedKeys(theirs))
	if t.Tensors == 0 {
		return withHint(fmt.Errorf("--transfer: %s and the network of this run have no tensor in common", m.name), "diffuse inspect %s shows its configuration", t.Model)
	}
	if p, o := m.net.Card, s.Options; p.Precond != o.Precond || p.Precond == "edm" && p.SigmaData != o.SigmaData {
		u.warn("--transfer: %s has preconditioning %s with sigma-data %v, the run %s with %v: its weights have to find a new scale",
			m.name, p.Precond, p.SigmaData, o.Precond, o.SigmaData)
	}
	return nil
}

// origin is what the run's log says about the initial weights.
func (t *transfer) origin() string {
	if t == nil {
		return ""
	}
	return fmt.Sprintf("%d of %d tensors from %s (SHA-256 %s…)", t.Tensors, t.Of, t.Model, t.SHA)
}

// initialise makes net the network that a run begins with. Where there is a checkpoint it holds the weights, and the model that they came from may be gone.
func (s *trainSettings) initialise(u *ui, dir string, resuming bool, net *unet.Net) error {
	if s.Transfer == nil || resuming && train.HasCheckpoint(dir) {
		return nil
	}
	return s.Transfer.load(u, s, net)
}

// some lists the first few of many names.
func some(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
