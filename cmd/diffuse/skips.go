package main

import (
	"diffuse/skiptune"
	"diffuse/unet"
)

// tune applies skip weights as --skip spells them; "" leaves the model as it is. sigmas are the noise levels of the run, nil
// if any may come: a window that misses them all is refused.
func (m *model) tune(skip string, sigmas []float64) error {
	if skip == "" {
		return nil
	}
	if m.net == nil {
		return usagef("--skip: %s is not a network and has no skip connections", m.name)
	}
	t, err := skiptune.Parse(skip, skipSides(m.net.Net))
	if err != nil {
		return usageError{err}
	}
	if len(sigmas) > 1 {
		last := sigmas[len(sigmas)-1]
		if last == 0 { // the network is never evaluated there
			last = sigmas[len(sigmas)-2]
		}
		if from, to, missed := t.Misses(last, sigmas[0]); missed {
			return usagef("--skip %s: the window %g..%g misses the noise levels of this run, %g to %g", skip, from, to, last, sigmas[0])
		}
	}
	tuned := *m.net
	tuned.Net = tuned.Net.WithSkipRule(t.At)
	m.net = &tuned
	return nil
}

// skipSides lists the heights of the features at a network's skip connections, deepest first.
func skipSides(n *unet.Net) []int {
	joins := n.Joins()
	sides := make([]int, len(joins))
	for i, j := range joins {
		sides[i] = j.Side
	}
	return sides
}
