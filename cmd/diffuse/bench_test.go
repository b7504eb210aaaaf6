package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"diffuse/schedule"
	"diffuse/unet"
)

// TestBenchConfigs: the architectures have exactly the parameters of the published ones.
func TestBenchConfigs(t *testing.T) {
	known := map[string]int{
		"edm-cifar10": 55_733_891, "edm-cifar10-cond": 55_735_299, "edm-cifar10-ncsnpp": 56_397_827,
		"edm-ffhq64": 61_805_571, "edm-ffhq64-ncsnpp": 62_761_091, "adm-imagenet64": 295_899_267,
		"ddpm-cifar10": 35_746_307, "ddpm-celebahq": 113_673_219, "diffusers-default": 274_056_163, "cm-imagenet64": 295_899_267,
		"ncsnpp-tiny": 1_781_548 - 32, // the library counts Fourier frequencies too, which are not trained
	}
	if len(known) != len(benchConfigs()) {
		t.Errorf("%d architectures are known, there are %d", len(known), len(benchConfigs()))
	}
	for name, config := range benchConfigs() {
		c, err := config.network()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := c.Parameters(); got != known[name] {
			t.Errorf("%s has %d parameters, want %d (off by %d)", name, got, known[name], got-known[name])
		}
	}
}

// toyNet is a network that takes no time.
func toyNet(t *testing.T, kind string) *unet.Net {
	t.Helper()
	c := unet.DefaultConfig(kind)
	c.Resolution, c.ModelChannels, c.ChannelMult, c.NumBlocks, c.AttnResolutions = 8, 64, []int{1, 2}, 1, []int{4}
	net, err := unet.New(c, rand.New(rand.NewPCG(1, 0)))
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// TestBenchLayers: the layers of a network, as often as they occur, are all of its arithmetic.
func TestBenchLayers(t *testing.T) {
	for _, kind := range []string{"song", "adm", "uvit"} {
		net := toyNet(t, kind)
		list, count := layersOf(net)
		var flop float64
		for _, l := range list {
			flop += l.flop() * float64(count[l])
		}
		if want := networkCost(net, net.Resolution, net.Resolution).GFLOP * 1e9; !(math.Abs(flop-want) < 1e-9*want) {
			t.Errorf("%s: layers of %g flop, network of %g", kind, flop, want)
		}
	}
}

// benchLine is the Go benchmark format: name-threads, iterations, then pairs of a value and a unit.
var benchLine = regexp.MustCompile(`^Benchmark([A-Z]\S*)-(\d+)\t(\d+)((?:\t\S+ \S+)+)$`)

// readBench checks every line's form and returns the figures by name and unit.
func readBench(t *testing.T, out string) map[string]map[string]float64 {
	t.Helper()
	all := map[string]map[string]float64{}
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		m := benchLine.FindStringSubmatch(line)
		if m == nil {
			if !regexp.MustCompile(`^[a-z]+: \S`).MatchString(line) {
				t.Errorf("neither a benchmark nor a key with its value: %q", line)
			}
			continue
		}
		all[m[1]] = map[string]float64{}
		for pair := range strings.SplitSeq(m[4][1:], "\t") {
			value, unit, _ := strings.Cut(pair, " ")
			v, err := strconv.ParseFloat(value, 64)
			if err != nil || !(v > 0) || math.IsInf(v, 0) {
				t.Errorf("%s: %q is no positive number", m[1], pair)
			}
			all[m[1]][unit] = v
		}
	}
	return all
}

// toyBench measures every part of a toy network for a moment.
func toyBench(t *testing.T, kind, filter string, asJSON bool) string {
	t.Helper()
	var out bytes.Buffer
	u := &ui{stdout: &out, stderr: &out, quiet: true, json: asJSON}
	b := &bencher{ctx: context.Background(), u: u, filter: regexp.MustCompile(filter), time: time.Microsecond}
	open := func() (benchedModel, error) {
		return benchedModel{unet.Denoiser{Net: toyNet(t, kind), Precond: schedule.EDM(0.5)}, "toy"}, nil
	}
	if err := b.run(open); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestBenchLines(t *testing.T) {
	all := readBench(t, toyBench(t, "song", "", false))
	for name, units := range map[string]string{
		"Peak/level=generic/threads=1": "ns/op GFLOP/s cpu-ns/op",
		"FirstImage":                   "ns/op peak-MB",
		"Network/batch=1":              "ns/op GFLOP/s peak-% cpu-ns/op cpu-peak-% images/s peak-MB",
		"Network/batch=16":             "images/s",
		"TrainStep/batch=16":           "images/s peak-MB",
		"DistillStep/batch=16":         "images/s peak-MB",
		"Layer/op=conv3x3/size=8x8/in=64/out=64/batch=1/pass=forward":             "GFLOP/s layers",
		"Layer/op=conv3x3/size=8x8/in=64/out=64/batch=16/pass=backward":           "GFLOP/s layers",
		"Layer/op=linear/in=256/out=64/batch=16/pass=backward":                    "peak-%",
		"Layer/op=attention/size=4x4/channels=128/heads=1/batch=16/pass=forward":  "peak-%",
		"Layer/op=attention/size=4x4/channels=128/heads=1/batch=16/pass=backward": "peak-%",
		"Layer/op=conv1x1/size=4x4/in=128/out=384/batch=16/pass=backward":         "peak-%",
		"Layer/op=conv3x3/size=4x4/in=128/out=128/batch=16/pass=forward":          "layers",
	} {
		for unit := range strings.FieldsSeq(units) {
			if _, ok := all[name][unit]; !ok {
				t.Errorf("%s has no %s: %v", name, unit, all[name])
			}
		}
	}
	n, f := all["Network/batch=4"], networkCost(toyNet(t, "song"), 8, 8).GFLOP
	if got, want := n["GFLOP/s"], n["images/s"]*f; !(math.Abs(got-want) < 1e-3*want) {
		t.Errorf("%g GFLOP/s at %g images/s of %g GFLOP", got, n["images/s"], f)
	}
}

func TestBenchFilter(t *testing.T) {
	all := readBench(t, toyBench(t, "adm", "batch=4$", false))
	for name := range all {
		if name != "Network/batch=4" && !strings.HasPrefix(name, "Peak/") {
			t.Errorf("%s does not match", name)
		}
	}
	if len(all) < 3 {
		t.Errorf("only %v", all)
	}
}

func TestBenchJSON(t *testing.T) {
	var r struct {
		Model      string
		Benchmarks []benchResult
	}
	if err := json.Unmarshal([]byte(toyBench(t, "song", "Network", true)), &r); err != nil {
		t.Fatal(err)
	}
	last := r.Benchmarks[len(r.Benchmarks)-1]
	if r.Model != "toy" || last.Name != "Network/batch=16" || !(last.Metrics["images/s"] > 0) || !(last.NsPerOp > 0) || last.Iterations < 1 {
		t.Errorf("%+v", r)
	}
}
