package main

import (
	"fmt"
	"strconv"
	"strings"

	"diffuse/sampler"
)

// An rng says which random numbers a seed stands for. A Brownian path (--step-noise) has numbers of its own, whatever the rng.
type rng struct {
	kind    string // of rngNames
	threads int    // torch-cuda: threads that the card holds, 0 = more than a picture has values
}

// rngNames lists what --rng completes to.
func rngNames() []string {
	return []string{
		"diffuse\tits own streams, one for the start and one for the steps",
		"torch\tPyTorch's CPU generator, as diffusers uses a list of generators",
		"torch-cuda\tPyTorch's generator on NVIDIA cards, to about 3e-6; torch-cuda:40960 for a card of that many threads",
	}
}

// parseRNG reads --rng.
func parseRNG(s string) (rng, error) {
	kind, threads, counted := strings.Cut(s, ":")
	r := rng{kind: strings.ReplaceAll(strings.ToLower(kind), "_", "-")}
	known := false
	for _, name := range plainNames(rngNames()) {
		known = known || name == r.kind
	}
	if !known || counted && r.kind != "torch-cuda" {
		return r, usagef("unknown --rng %q; valid are %s", s, strings.Join(plainNames(rngNames()), ", "))
	}
	if counted {
		n, err := strconv.Atoi(threads)
		if err != nil || n < 256 || n%256 != 0 {
			return r, withHint(usagef("--rng %s: %q is not a number of threads, a multiple of 256", s, threads),
				"a card holds its multiprocessors times the threads of each: 108·2048 = 221184 for an A100")
		}
		r.threads = n
	}
	return r, nil
}

// String is what parseRNG reads.
func (r rng) String() string {
	if r.threads > 0 {
		return fmt.Sprintf("%s:%d", r.kind, r.threads)
	}
	return r.kind
}

// noise returns the starting noise of pictures with per values each, and the source of their later draws.
func (r rng) noise(seeds []uint64, per int) (start []float64, steps func([]float64)) {
	start = make([]float64, len(seeds)*per)
	switch r.kind {
	case "torch":
		steps = sampler.TorchNoise(seeds, per)
		steps(start)
	case "torch-cuda":
		steps = sampler.TorchCUDANoise(seeds, per, r.threads)
		steps(start)
	default:
		sampler.BatchNoise(seeds, per, "latent")(start)
		steps = sampler.BatchNoise(seeds, per, "step")
	}
	return start, steps
}
