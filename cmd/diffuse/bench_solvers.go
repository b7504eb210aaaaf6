package main

import (
	"fmt"

	"diffuse/sampler"
	"diffuse/schedule"
)

// solverSteps is the length of the runs in which solvers are measured.
const solverSteps = 12

// solvers measures what each solver costs beside the network: a run of sample's own batch with a denoiser that does nothing, noise of the steps included. The
// overhead is its processor time over that of the run's network evaluations.
func (b *bencher) solvers(m benchedModel) {
	h, w := m.Size()
	lo, hi := m.Precond.Limit(0.002, 80)
	subject := &model{channels: m.InChannels, height: h, width: w}
	batch := make([]picture, defaultBatch)
	for i := range batch {
		batch[i] = picture{uint64(i), -1}
	}
	var network timing // of one evaluation, once something asks for it
	for _, info := range sampler.All() {
		name := fmt.Sprintf("Solver/sampler=%s/batch=%d", info.Name, len(batch))
		if info.Adaptive || !b.wants(name) {
			continue
		}
		d := &drawing{model: subject, sampler: info, options: info.Options(), sigmas: schedule.Karras(solverSteps, lo, hi, 7), brownian: info.Brownian}
		d.rehearse()
		start, noise := d.seededNoise(batch)
		d.begin(start)
		o := d.options
		o.Noise = noise
		nothing := func(dst, x []float64, _ float64) { copy(dst, x) }
		x := make([]float64, len(start))
		if network.n == 0 {
			evaluate := m.Denoiser
			evaluate.Labels = nil
			network = measure(b.time, nil, func() { evaluate.At(x, start, 1) })
		}
		t := measure(b.time/10, nil, func() {
			copy(x, start)
			for range d.run(info.Sampler, nothing, x, o, nil) {
			}
		})
		b.report(name, t, figure{t.cpu * 1e9, "cpu-ns/op"}, figure{float64(d.nfe), "evaluations"}, figure{100 * t.cpu / (float64(d.nfe) * network.cpu), "overhead-%"})
	}
}
