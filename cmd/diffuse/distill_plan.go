package main

import "runtime"

// A distillPlan is what --dry-run prints.
type distillPlan struct {
	*distillSettings
	Parameters        int     `json:"parameters"` // of teacher and fake network, each
	StudentParameters int     `json:"student_parameters"`
	Memory            float64 `json:"memory_bytes"` // estimate of the most memory
}

// describe prints the settings and the memory they need: weights of four networks, the moments of two Adams, one gradient of both per microbatch, and
// the activations of the microbatches that run at once: one network in training beside two that are differentiated for their input.
func (s *distillSettings) describe(u *ui, teacher *model) error {
	cost := networkCost(teacher.net.Net, teacher.height, teacher.width)
	student := networkCost(s.net, teacher.height, teacher.width)
	o := s.Options
	micro := o.Microbatch
	if micro == 0 {
		micro = min(16, o.Batch)
	}
	passes := (o.Batch + micro - 1) / micro
	each := float64(cost.Parameters + student.Parameters) // teacher and fake network, generator and average
	weights := 4 * each * float64(2+2+passes)
	active := float64(min(passes, runtime.GOMAXPROCS(0))) * float64(micro) * float64(2*cost.TrainBytes+student.TrainBytes)
	p := distillPlan{s, cost.Parameters, student.Parameters, weights + active}
	if u.json {
		return u.result(p)
	}
	if err := u.result(s); err != nil {
		return err
	}
	u.note("%d parameters a network, %d the student; most memory about %.0f MB: %.0f MB for weights, moments and gradients, %.0f MB for activations (a smaller --microbatch needs less)",
		p.Parameters, p.StudentParameters, p.Memory/1e6, weights/1e6, active/1e6)
	return nil
}
