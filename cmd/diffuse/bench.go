package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"diffuse/internal/kernel"
	"diffuse/schedule"
	"diffuse/tensor"
	"diffuse/unet"
	"diffuse/zoo"
)

type benchOptions struct {
	model  string
	config string
	filter string
	time   time.Duration

	resolution       int
	checkpointBlocks bool
}

func benchCommand(u *ui) *cobra.Command {
	o := benchOptions{time: 500 * time.Millisecond}
	c := &cobra.Command{
		Use:   "bench [MODEL]",
		Short: "Measure how fast this machine evaluates and trains a network",
		Long: `Measure how fast this machine evaluates and trains a network, and print Go
benchmark lines, which benchstat compares. Without a model or --config, the
default embedded model is measured.

First comes the peak: multiply-adds in registers, on one thread for every level
of kernels that this CPU has, then on all threads at the one that computes in the
--precision asked for. What follows is compared with
it: the whole network at batches of 1, 4 and 16 (the first picture of a process
apart, since it pays for memory that later ones find ready), a training step with
a batch of 16, and every distinct convolution, matrix and attention of the
network, forward at batches of 1 and 16 and backward at 16.

Units: GFLOP/s and peak-% go by the clock and all threads; cpu-ns/op and cpu-peak-%
by the processor time of this process, and hold on a busy machine too. peak-MB is
the most memory the process has held so far. layers says how often the shape
occurs.

` + modelHelp + `

--resolution measures the same network made anew, with random weights, for larger
or smaller pictures. --config measures an architecture with random weights, without
a file:
` + configHelp(),
		Example: `  diffuse bench
  diffuse bench --config ddpm-cifar10 --filter 'Network|Train' > new.txt
  diffuse bench runs/mine --filter 'Layer/.*conv3x3' --time 2s --json
  diffuse bench runs/mine --resolution 256 --filter Train --checkpoint-blocks`,
		Args:              between(0, 1, "at most one model"),
		ValidArgsFunction: completeModel,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.model = args[0]
			}
			return runBench(c.Context(), u, o)
		},
	}
	c.Flags().StringVar(&o.config, "config", "", "architecture to measure in place of a model: "+strings.Join(sortedKeys(benchConfigs()), ", "))
	c.Flags().IntVar(&o.resolution, "resolution", 0, "pictures of `N`×N in place of the network's own size")
	c.Flags().StringVar(&o.filter, "filter", "", "only benchmarks whose names match this regular expression (the peak is always measured)")
	c.Flags().DurationVar(&o.time, "time", o.time, "least time for each benchmark")
	c.Flags().BoolVar(&o.checkpointBlocks, "checkpoint-blocks", false, "training as train --checkpoint-blocks does it, two pictures at a time")
	c.AddCommand(benchSamplersCommand(u))
	return c
}

func runBench(ctx context.Context, u *ui, o benchOptions) error {
	filter, err := regexp.Compile(o.filter)
	if err != nil {
		return withHint(usagef("--filter %q: %w", o.filter, err), "regular expressions are Go's: https://pkg.go.dev/regexp/syntax")
	}
	if o.time <= 0 {
		return usagef("--time is %s; it must be more than 0", o.time)
	}
	b := &bencher{ctx: ctx, u: u, filter: filter, time: o.time}
	return b.run(func() (benchedModel, error) {
		subject, err := benchSubject(u, o)
		if err == nil && o.resolution != 0 {
			subject, err = subject.at(o.resolution)
		}
		if err != nil {
			return benchedModel{}, err
		}
		subject.CheckpointBlocks = o.checkpointBlocks
		subject.Net = subject.Net.WithPrecision(u.precision.precision())
		return subject, nil
	})
}

// run measures everything that the filter lets through, of a model that open makes or reads.
func (b *bencher) run(open func() (benchedModel, error)) error {
	m, err := open()
	if err != nil {
		return err
	}
	b.header(m.name)
	b.peaks(m.Net.Precision())
	if b.networks(m) {
		if m, err = open(); err != nil {
			return err
		}
	}
	b.distilling(m)
	b.training(m)
	b.solvers(m)
	b.layers(m.Net)
	switch {
	case b.ctx.Err() != nil:
		return fmt.Errorf("benchmarks: %w", errInterrupted)
	case b.err != nil:
		return b.err
	case b.u.json:
		return b.u.result(map[string]any{"system": version(), "cpu": cpuModel(), "model": m.name, "benchmarks": b.results})
	}
	return nil
}

// A benchedModel is what is measured: a network with its preconditioning, and the word for it.
type benchedModel struct {
	unet.Denoiser
	name string
}

// benchSubject makes the network that the options ask for.
func benchSubject(u *ui, o benchOptions) (benchedModel, error) {
	if o.config != "" {
		if o.model != "" {
			return benchedModel{}, usagef("the model %s and --config contradict each other: give one of them", o.model)
		}
		c, ok := benchConfigs()[o.config]
		if !ok {
			return benchedModel{}, unknownName("architecture", o.config, sortedKeys(benchConfigs()))
		}
		config, err := c.network()
		if err != nil {
			return benchedModel{}, fmt.Errorf("architecture %s: %w", o.config, err)
		}
		net, err := unet.New(config, rand.New(rand.NewPCG(1, 0)))
		if err != nil {
			return benchedModel{}, err
		}
		precond := schedule.EDM(0.5)
		if net.UNet2D != nil && net.EmbeddingType == "fourier" { // which embeds ln(sigma) of a positive sigma
			precond = schedule.Score(0.01, 1348)
		}
		return benchedModel{unet.Denoiser{Net: net, Precond: precond}, o.config}, nil
	}
	if o.model == "" {
		o.model = zoo.Default
	}
	m, err := u.openWeights(o.model)
	if err != nil {
		return benchedModel{}, err
	}
	if m.net == nil {
		return benchedModel{}, usagef("the model %s is a formula, not a network: there is nothing to measure", m.name)
	}
	return benchedModel{unet.Denoiser{Net: m.net.Net, Precond: m.precond, Height: m.height, Width: m.width}, m.name}, nil
}

// at is the subject made anew for pictures of side×side.
func (m benchedModel) at(side int) (benchedModel, error) {
	c := m.Config
	c.Resolution = side
	net, err := unet.New(c, rand.New(rand.NewPCG(1, 0)))
	if err != nil {
		return m, usageError{fmt.Errorf("--resolution %d: %w", side, err)}
	}
	m.Net, m.Height, m.Width = net, side, side
	return m, nil
}

// peakTurns is one call of the loop that finds the peak, some milliseconds: long beside the time that waking a second thread takes.
const peakTurns = 1 << 20

// peaks measures what this CPU can do at most: one thread at every level, then all threads at the level that computes in p.
func (b *bencher) peaks(p tensor.Precision) {
	best := kernel.Current()
	if p == tensor.Float32 {
		best = min(best, kernel.AVX512) // tiles do not multiply float32
	}
	one := 0.0
	for l := kernel.Generic; l <= kernel.Current(); l++ {
		b.peak(l, 1)
		if l == best {
			one = b.cpuPeak
		}
	}
	b.peak(best, b.threads())
	b.cpuPeak = one // by processor time, threads that share a core look slower than they are
}

// peak measures level l on threads threads, and keeps the figures to which others are compared.
func (b *bencher) peak(l kernel.Level, threads int) {
	if b.ctx.Err() != nil {
		return
	}
	defer kernel.SetLevel(l)()
	t := measure(b.time, nil, func() {
		kernel.For(threads, 1, func(int, int) { kernel.PeakLoop(peakTurns) })
	})
	flop := float64(threads) * peakTurns * float64(kernel.PeakTurn())
	b.peakRate, b.cpuPeak = flop/t.wall, flop/t.cpu
	b.report(fmt.Sprintf("Peak/level=%s/threads=%d", l, threads), t,
		figure{flop / t.wall / 1e9, "GFLOP/s"}, figure{t.cpu * 1e9, "cpu-ns/op"})
}
