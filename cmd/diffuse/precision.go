package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"diffuse/tensor"
)

// A precisionName says how a network computes convolutions and attention: the name of a precision, or "auto" (or nothing) for the fastest
// on this CPU that is float32-class.
type precisionName string

// precisionNames are all there are, in the order of help.
var precisionNames = []string{"auto", "f32", "bf16x3", "bf16"}

// precision is what the name stands for on this CPU.
func (p precisionName) precision() tensor.Precision {
	if q, ok := tensor.Precisions()[string(p)]; ok {
		return q
	}
	return tensor.BestPrecision()
}

// String is part of pflag.Value.
func (p *precisionName) String() string {
	if *p == "" {
		return "auto"
	}
	return string(*p)
}

// Set is part of pflag.Value.
func (p *precisionName) Set(s string) error {
	if _, ok := tensor.Precisions()[s]; !ok && s != "auto" {
		return fmt.Errorf("unknown precision %q; known ones: %s", s, strings.Join(precisionNames, ", "))
	}
	*p = precisionName(s)
	return nil
}

// Type is part of pflag.Value.
func (*precisionName) Type() string { return "name" }

// precisionFlag adds --precision.
func precisionFlag(f *pflag.FlagSet, p *precisionName) {
	f.Var(p, "precision", "how networks compute: f32, bf16x3 (as close as float32, by the tiles of CPUs with AMX), bf16 (two to three digits), or auto, the fastest of the first two")
}
