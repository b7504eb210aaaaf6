package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/pflag"

	"diffuse/sampler"
)

// maxSeeds bounds a seed list, so that a slip such as 0-9999999999 is a message and not an allocation.
const maxSeeds = 10_000_000

// parseSeeds reads EDM's seed lists: "0-63,100,200-207". Seeds may repeat.
func parseSeeds(s string) ([]uint64, error) {
	var seeds []uint64
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		lo, hi, isRange := strings.Cut(part, "-")
		a, err := strconv.ParseUint(strings.TrimSpace(lo), 10, 64)
		b := a
		if err == nil && isRange {
			b, err = strconv.ParseUint(strings.TrimSpace(hi), 10, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither a seed nor a range such as 0-63", part)
		}
		if b < a {
			return nil, fmt.Errorf("the range %q runs backwards", part)
		}
		if b-a >= maxSeeds || len(seeds)+int(b-a)+1 > maxSeeds {
			return nil, fmt.Errorf("more than %d seeds", maxSeeds)
		}
		for i := range b - a + 1 {
			seeds = append(seeds, a+i)
		}
	}
	return seeds, nil
}

// parseFloats reads a list of finite numbers: "80,24.4,5.8,0".
func parseFloats(s string) ([]float64, error) {
	var list []float64
	for _, part := range strings.Split(s, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%q is not a number", strings.TrimSpace(part))
		}
		list = append(list, v)
	}
	return list, nil
}

// maxNumberFile bounds the files that readNumbers takes.
const maxNumberFile = 4 << 20

// readNumbers reads a list of finite numbers, "80,24.4,5.8,0", or a file of them: "@FILE", or the name of a file if it is no
// list. A file holds a JSON list, or numbers between commas, spaces and line ends, with comments from # to the end of a line.
func readNumbers(s string) ([]float64, error) {
	path, isFile := strings.CutPrefix(s, "@")
	if !isFile {
		list, err := parseFloats(s)
		if info, statErr := os.Stat(s); err == nil || statErr != nil || info.IsDir() {
			return list, err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, cause(err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxNumberFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, cause(err))
	}
	if len(b) > maxNumberFile {
		return nil, fmt.Errorf("%s is no list of numbers: it is larger than %d bytes", path, maxNumberFile)
	}
	list, err := parseNumberFile(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// parseNumberFile reads the bytes of such a file.
func parseNumberFile(b []byte) ([]float64, error) {
	if b = bytes.TrimSpace(b); bytes.HasPrefix(b, []byte("[")) {
		var entries []*float64
		if err := json.Unmarshal(b, &entries); err != nil {
			return nil, fmt.Errorf("not a JSON list of numbers: %w", err)
		}
		if len(entries) == 0 {
			return nil, fmt.Errorf("the list is empty")
		}
		list := make([]float64, len(entries))
		for i, v := range entries {
			if v == nil {
				return nil, fmt.Errorf("element %d of the list is null", i)
			}
			list[i] = *v
		}
		return list, nil
	}
	var words []string
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		words = append(words, strings.FieldsFunc(line, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })...)
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("the list is empty")
	}
	return parseFloats(strings.Join(words, ","))
}

// parseSigmas reads the noise levels of --sigmas: strictly decreasing, none negative; the last may be 0.
func parseSigmas(s string) ([]float64, error) {
	sigmas, err := readNumbers(s)
	if err != nil {
		return nil, usagef("--sigmas: %w", err)
	}
	if len(sigmas) < 2 {
		return nil, usagef("--sigmas: a list of noise levels needs at least two, such as 80,0")
	}
	for i, v := range sigmas {
		if v < 0 {
			return nil, usagef("--sigmas: noise level %g is negative", v)
		}
		if i > 0 && v >= sigmas[i-1] {
			return nil, usagef("--sigmas: noise levels must fall: %g comes after %g", v, sigmas[i-1])
		}
	}
	return sigmas, nil
}

// parseInterval reads "lo,hi" with lo <= hi, both noise levels.
func parseInterval(s string) (lo, hi float64, err error) {
	list, err := parseFloats(s)
	if err != nil {
		return 0, 0, err
	}
	if len(list) != 2 || list[0] < 0 || list[1] < list[0] {
		return 0, 0, fmt.Errorf("%q is not an interval lo,hi of noise levels", s)
	}
	return list[0], list[1], nil
}

// parseRestart reads "LEVELS,REPEATS,LOW,HIGH;…", the values of the reference's restart_info; "" is none.
func parseRestart(s string) ([]sampler.Interval, error) {
	if s == "" {
		return nil, nil
	}
	var list []sampler.Interval
	for _, part := range strings.Split(s, ";") {
		v, err := parseFloats(part)
		if err != nil {
			return nil, err
		}
		if len(v) != 4 || v[0] != math.Trunc(v[0]) || v[1] != math.Trunc(v[1]) || math.Abs(v[0]) > maxSteps || math.Abs(v[1]) > maxSteps {
			return nil, fmt.Errorf("%q is not LEVELS,REPEATS,LOW,HIGH, the first two whole numbers up to %d", part, maxSteps)
		}
		list = append(list, sampler.Interval{Levels: int(v[0]), Repeats: int(v[1]), Low: v[2], High: v[3]})
	}
	return list, nil
}

// countSuffixes are the multipliers of --duration and its like; longer spellings come first.
var countSuffixes = []struct {
	suffix string
	factor float64
}{{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}}

// A countValue is a flag for a number of things, with suffixes: 5M, 200k, 1Mi, 4096.
type countValue int64

var _ pflag.Value = (*countValue)(nil)

// Set reads the number.
func (c *countValue) Set(s string) error {
	factor, digits := 1.0, s
	for _, x := range countSuffixes {
		if rest, ok := strings.CutSuffix(s, x.suffix); ok {
			factor, digits = x.factor, rest
			break
		}
	}
	v, err := strconv.ParseFloat(digits, 64)
	n := v * factor
	if err != nil || !(n >= 0 && n < 1<<53) || n != math.Trunc(n) {
		return fmt.Errorf("%q is not a whole number such as 4096, 200k, 5M or 1Mi", s)
	}
	*c = countValue(n)
	return nil
}

// String writes the number in the shortest exact form.
func (c *countValue) String() string {
	n := int64(*c)
	for _, x := range []struct {
		factor int64
		suffix string
	}{{1e6, "M"}, {1e3, "k"}} {
		if n >= x.factor && n%(x.factor/10) == 0 {
			return strconv.FormatFloat(float64(n)/float64(x.factor), 'f', -1, 64) + x.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// Type names the value in help texts.
func (c *countValue) Type() string { return "count" }

// conflict returns a usage error if more than one of the named flags was given.
func conflict(flags *pflag.FlagSet, names ...string) error {
	var given []string
	for _, n := range names {
		if flags.Changed(n) {
			given = append(given, "--"+n)
		}
	}
	if len(given) > 1 {
		return usagef("%s contradict each other: give one of them", strings.Join(given, " and "))
	}
	return nil
}

// conflicts checks one flag against each of several others, which may go together.
func conflicts(flags *pflag.FlagSet, name string, others ...string) error {
	for _, o := range others {
		if err := conflict(flags, name, o); err != nil {
			return err
		}
	}
	return nil
}
