package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// adopt takes the values that the model brings for flags which were not given, and which the given ones leave room for. Those of a solver are
// left out where another one was chosen.
func (o *sampleOptions) adopt(m *model) error {
	typed, adopted := o.given, map[string]bool{}
	solver := m.defaults.Sampler
	if typed("sampler") {
		info, err := lookupSampler(o.sampler)
		if err != nil {
			return err
		}
		solver = info.Name
	}
	for _, flag := range sortedKeys(m.suited) {
		switch {
		case typed(flag):
			continue
		case flag == "schedule" && slices.ContainsFunc([]string{"sigmas", "rho"}, typed):
			continue
		case (usersOf(flag) != "" || flag == "like-diffusers") && solver != m.defaults.Sampler:
			continue
		case flag == "like-diffusers" && o.method == "cfg++": // which has steps of its own
			continue
		}
		if err := o.set(flag, m.suited[flag]); err != nil {
			return fmt.Errorf("model %s: --%s %s: %w", m.name, flag, m.suited[flag], err)
		}
		adopted[flag] = true
	}
	o.given = func(flag string) bool { return typed(flag) || adopted[flag] }
	return nil
}

// set gives one of the flags that a model may bring its value.
func (o *sampleOptions) set(flag, value string) (err error) {
	switch s := &o.solver; flag {
	case "schedule":
		o.grid.schedule = value
	case "threshold":
		o.threshold = value
	case "like-diffusers":
		o.like, err = strconv.ParseBool(value)
	case "variant":
		s.Variant = value
	case "final":
		s.Final = value
	case "order":
		s.Order, err = strconv.Atoi(value)
	case "corrector":
		s.Corrector, err = strconv.Atoi(value)
	case "uncorrected":
		s.Uncorrected, err = strconv.Atoi(value)
	case "clip":
		s.Clip, err = strconv.ParseFloat(value, 64)
	case "eta":
		s.Eta, err = strconv.ParseFloat(value, 64)
	default:
		panic("no model brings a value for --" + flag)
	}
	return err
}

// bringsText names what a model brings for sample, as flags.
func (m *model) bringsText() string {
	if m.scheduler == "" {
		return ""
	}
	parts := []string{"--sampler", m.defaults.Sampler, "--steps", strconv.Itoa(m.defaults.Steps)}
	for _, flag := range sortedKeys(m.suited) {
		if parts = append(parts, "--"+flag); flag != "like-diffusers" {
			parts = append(parts, m.suited[flag])
		}
	}
	return m.scheduler + ": " + strings.Join(parts, " ")
}
