package distill

import (
	"slices"

	"diffuse/sampler"
	"diffuse/schedule"
	"diffuse/tensor"
	"diffuse/train"
)

// WarmUpdate makes one step of Adam on the generator with rate r.LR and of its average with r.EMABeta, towards the pictures that the teacher's probability
// flow draws from the same unit noise (knowledge distillation: Luhman & Luhman 2021, arXiv 2101.02388), and adds to r what it did: its loss is EDM's at
// SigmaInit. So a generator that is not a copy of the teacher learns to draw at all. The draws are for Options.Batch pictures.
func (t *Trainer) WarmUpdate(d *Draws, r *StepResult) error {
	return t.update(t.Generator, t.parts[1], d, t.warmPass, r.LR, r.EMABeta, r, &r.Loss, &r.GradNorm)
}

// warmPass computes the loss of the warm-up and leaves its gradients in part u. Pictures whose loss is not finite are left out and counted.
func (t *Trainer) warmPass(u int, d *Draws, loss []float64) (dropped int) {
	o := t.Options
	want := t.flow(d)
	tape := tensor.NewTape(t.Generator.Weights...)
	defer tape.Free()
	y := t.generate(t.Nets.Generator, tape, d, d.Dropout)
	seed := make([]float32, len(y.Data))
	sigma := slices.Repeat([]float64{o.SigmaInit}, len(loss))
	train.EDMLoss(seed, loss, y.Data, want, sigma, o.SigmaData, 1/float64(o.Batch))
	dropped = dropBad(seed, loss)
	tape.Seed(y, seed)
	tape.Backward()
	t.collect(tape, t.Generator, t.parts[1][u])
	return dropped
}

// flow returns what the teacher draws from the latents by DPM-Solver++(2M) in WarmSteps evaluations: where SigmaMax times the noise leads.
func (t *Trainer) flow(d *Draws) []float32 {
	o, z := t.Options, d.Latent[0]
	x := make([]float64, len(z.Data))
	for i, v := range z.Data {
		x[i] = o.SigmaMax * float64(v)
	}
	denoiser := func(dst, x []float64, sigma float64) {
		at := &Draws{Sigma: slices.Repeat([]float64{sigma}, z.Shape[0]), Labels: d.Labels}
		in := tensor.New(z.Shape...)
		for i, v := range x {
			in.Data[i] = float32(v)
		}
		p := predict(t.Nets.Teacher, nil, in, at, nil, o.TeacherGuidance)
		for i, v := range p.value {
			dst[i] = float64(v)
		}
		for _, part := range p.parts {
			tensor.Recycle(nil, part)
		}
	}
	y := make([]float32, len(x))
	levels := schedule.Karras(o.WarmSteps, o.SigmaMin, o.SigmaMax, o.Rho)
	for s := range sampler.DPMPP2M(denoiser, x, levels, sampler.DefaultOptions()) {
		if s.Step == o.WarmSteps {
			for i, v := range s.X {
				y[i] = float32(v)
			}
		}
	}
	return y
}
