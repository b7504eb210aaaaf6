package schedule

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// options are what stands behind the colon of a spec. Those that are read are taken out; the first mistake is kept for finish.
type options struct {
	values map[string]string // flags have an empty value
	order  []string
	err    error
	size   float64 // side of the pictures, for options that leave it out; 0 = unknown
}

// canonical is lower case with "-" for "_".
func canonical(s string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "_", "-")
}

func parseOptions(s string, has bool) *options {
	o := &options{values: map[string]string{}}
	if !has {
		return o
	}
	for _, item := range strings.Split(s, ",") {
		key, value, _ := strings.Cut(item, "=")
		key = strings.TrimSpace(key)
		if _, twice := o.values[key]; twice {
			o.fail("option %q is given twice", key)
		}
		o.values[key] = strings.TrimSpace(value)
		o.order = append(o.order, key)
	}
	return o
}

func (o *options) fail(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(format, args...)
	}
}

// finish returns the first mistake, if only that an option is left that nobody asked for.
func (o *options) finish(valid string) error {
	for _, key := range o.order {
		if _, left := o.values[key]; !left {
			continue
		}
		if valid == "" {
			return fmt.Errorf("this schedule takes no options, got %q", key)
		}
		return fmt.Errorf("unknown option %q; valid options: %s", key, valid)
	}
	return o.err
}

// take removes an option and says whether it was there.
func (o *options) take(key string) (string, bool) {
	v, ok := o.values[key]
	delete(o.values, key)
	return v, ok
}

// number reads a number between lo and hi, both allowed; the usual one stands in for a mistake.
func (o *options) number(key string, usual, lo, hi float64) float64 {
	s, ok := o.take(key)
	if !ok {
		return usual
	}
	v, err := number(s)
	if err != nil {
		o.fail("option %s: %w", key, err)
	} else if v < lo || v > hi {
		o.fail("option %s=%s must lie between %g and %g", key, s, lo, hi)
	} else {
		return v
	}
	return usual
}

// whole reads a whole number between lo and hi, both allowed.
func (o *options) whole(key string, usual, lo, hi int) int {
	s, ok := o.take(key)
	if !ok {
		return usual
	}
	v, err := strconv.Atoi(s)
	if err != nil {
		o.fail("option %s: %q is not a whole number", key, s)
	} else if v < lo || v > hi {
		o.fail("option %s=%s must lie between %d and %d", key, s, lo, hi)
	} else {
		return v
	}
	return usual
}

// word reads one of a list of words, the usual one first.
func (o *options) word(key string, valid ...string) string {
	s, ok := o.take(key)
	if !ok {
		return valid[0]
	}
	if !slices.Contains(valid, s) {
		o.fail("option %s=%s is none of %s", key, s, strings.Join(valid, ", "))
	}
	return s
}

// flag says whether an option without a value is given.
func (o *options) flag(key string) bool {
	s, ok := o.take(key)
	if s != "" {
		o.fail("option %s takes no value, got %q", key, s)
	}
	return ok
}

func number(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a finite number", s)
	}
	return v, nil
}
