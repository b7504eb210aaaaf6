package main

import (
	"errors"
	"fmt"

	"diffuse/sampler"
	"diffuse/unet"
)

// initialise makes the network that the student starts as: a copy of the teacher without its skip weights, another model, or one of a configuration of its own.
func (s *distillSettings) initialise(teacher *model) error {
	if s.studentFile != "" {
		c, err := unet.ParseConfig([]byte(teacher.net.Net.Config.JSON())) // a copy that shares no lists
		if err == nil {
			err = readNetwork(s.studentFile, &c)
		}
		c = c.WithDefaults()
		if err == nil {
			err = c.Validate()
		}
		if err != nil {
			return usageError{fmt.Errorf("--student-config: %w", err)}
		}
		s.Student = &c
	}
	switch {
	case s.Student != nil && s.InitFrom != "":
		return usagef("--student-config and --init-from contradict each other: the student starts at random, or from a model, which has its own configuration")
	case s.Student != nil:
		if s.Options.WarmImages == 0 {
			return withHint(usagef("--student-config: a network that starts at random needs a warm-up"), "leave --warm-images out, or give it a tenth of --duration")
		}
		if err := alike(*s.Student, teacher); err != nil {
			return usagef("--student-config: %w", err)
		}
		var err error
		s.net, err = unet.New(*s.Student, sampler.Stream(s.Options.Seed, "student"))
		return err
	case s.InitFrom != "":
		return s.initFrom(teacher)
	}
	s.net = teacher.net.Net.Clone().WithSkipRule(nil)
	return nil
}

// initFrom takes the network of --init-from.
func (s *distillSettings) initFrom(teacher *model) error {
	m, err := openModel(s.InitFrom)
	if err != nil {
		return fmt.Errorf("--init-from: %w", err)
	}
	if m.net == nil {
		return usagef("--init-from: %s is not a network", m.name)
	}
	err = alike(m.net.Net.Config, teacher)
	if got, want := m.net.Card, teacher.net.Card; err == nil && (got.Precond != want.Precond || got.SigmaData != want.SigmaData) {
		err = fmt.Errorf("it has preconditioning %s with sigma_data %g, the teacher %s with %g", got.Precond, got.SigmaData, want.Precond, want.SigmaData)
	}
	if err != nil {
		return usagef("--init-from: %s: %w", m.name, err)
	}
	if s.InitSHA != "" && s.InitSHA != m.sha {
		return fmt.Errorf("--init-from: the run was started with a file of SHA-256 %s, %s has %s", s.InitSHA, m.name, m.sha)
	}
	s.InitSHA, s.init = m.sha, m
	s.net = m.net.Net.WithSkipRule(nil)
	return nil
}

// alike tells in what a student's network cannot stand for the teacher's: pictures, classes, and what the bare network returns.
func alike(c unet.Config, teacher *model) error {
	t := teacher.net.Net.Config
	var errs []error
	for _, f := range []struct {
		name      string
		got, want int
	}{
		{"img_resolution", c.Resolution, t.Resolution}, {"in_channels", c.InChannels, t.InChannels},
		{"out_channels", c.OutChannels, t.OutChannels}, {"label_dim", c.LabelDim, t.LabelDim},
	} {
		if f.got != f.want {
			errs = append(errs, fmt.Errorf("%s is %d, the teacher's is %d", f.name, f.got, f.want))
		}
	}
	if len(errs) == 0 {
		errs = append(errs, c.CheckSize(teacher.height, teacher.width))
	}
	return errors.Join(errs...)
}
