package train_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"diffuse/train"
)

const eventsFile = "events.out.tfevents.diffuse"

// An event is what TensorBoard reads: numbers by name after a count of images.
type event struct {
	step    int64
	version string
	scalars map[string]float32
}

// events parses a file of TFRecords with Event messages.
func events(t *testing.T, file []byte) []event {
	t.Helper()
	masked := func(b []byte) uint32 {
		c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
		return (c>>15 | c<<17) + 0xa282ead8
	}
	var all []event
	for len(file) > 0 {
		n := binary.LittleEndian.Uint64(file)
		data := file[12 : 12+n]
		if binary.LittleEndian.Uint32(file[8:]) != masked(file[:8]) || binary.LittleEndian.Uint32(file[12+n:]) != masked(data) {
			t.Fatalf("record %d: wrong checksum", len(all))
		}
		file = file[16+n:]
		e := event{scalars: map[string]float32{}}
		fields(t, data, func(number protowire.Number, v uint64, b []byte) {
			switch number {
			case 1:
				if wall := math.Float64frombits(v); !(wall > 1.7e9 && wall < 1e11) {
					t.Errorf("wall time %v", wall)
				}
			case 2:
				e.step = int64(v)
			case 3:
				e.version = string(b)
			case 5:
				fields(t, b, func(_ protowire.Number, _ uint64, b []byte) {
					name := ""
					fields(t, b, func(number protowire.Number, v uint64, b []byte) {
						if number == 1 {
							name = string(b)
						} else if number == 2 {
							e.scalars[name] = math.Float32frombits(uint32(v))
						}
					})
				})
			}
		})
		all = append(all, e)
	}
	return all
}

// fields calls f for each field of a message, with its number or its bytes.
func fields(t *testing.T, b []byte, f func(number protowire.Number, v uint64, b []byte)) {
	t.Helper()
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b = b[n:]
		var v uint64
		var sub []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(b)
		case protowire.Fixed32Type:
			var w uint32
			w, n = protowire.ConsumeFixed32(b)
			v = uint64(w)
		default:
			sub, n = protowire.ConsumeBytes(b)
		}
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		f(number, v, sub)
		b = b[n:]
	}
}

// TestTensorBoard: the records parse and say what stats.jsonl and validation.jsonl say, once for each tick, also after interruptions and with a
// record that a crash cut short.
func TestTensorBoard(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	begin := train.Start
	var early []byte
	for _, stop := range []int64{64, 136, 160} {
		ctx, cancel := context.WithCancel(t.Context())
		j := validated(t)
		j.TensorBoard = stop == 64 // the run goes on with it
		j.Evaluate = func(context.Context, train.Tick) (train.Evaluation, error) {
			return train.Evaluation{Line: 1, Words: "fd 3", Scalars: map[string]float64{"fd": 3}}, nil
		}
		j.Progress = func(p train.Progress) {
			if p.Images == stop && stop < 160 {
				cancel()
			}
		}
		if err := train1(ctx, dir, j, begin); stop == 160 && err != nil {
			t.Fatal(err)
		}
		begin = train.Resume
		switch path := filepath.Join(dir, "checkpoint.safetensors"); stop {
		case 64:
			early = read(t, dir, "checkpoint.safetensors")
		case 136: // as if the last checkpoint had not been reached: the tick at 112 images is done again
			half := append(read(t, dir, eventsFile), "\x18\x00\x00\x00"...)
			if err := errors.Join(os.WriteFile(path, early, 0o666), os.WriteFile(filepath.Join(dir, eventsFile), half, 0o666)); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := read(t, dir, eventsFile)
	// Every file that TensorFlow writes begins with the length of this first record, 24, and the masked checksum of that.
	if want := []byte("\x18\x00\x00\x00\x00\x00\x00\x00\xa3\x7fK\""); !bytes.HasPrefix(file, want) {
		t.Errorf("the file begins with % x, want % x", file[:12], want)
	}
	all := events(t, file)
	if len(all) == 0 || all[0].version != "brain.Event:2" || all[0].step != 0 {
		t.Fatalf("first event %+v", all[0])
	}
	got := map[int64]map[string]float32{}
	for _, e := range all[1:] {
		if got[e.step] == nil {
			got[e.step] = map[string]float32{}
		}
		for name, v := range e.scalars {
			if _, twice := got[e.step][name]; twice {
				t.Errorf("%s is there twice after %d images", name, e.step)
			}
			got[e.step][name] = v
		}
	}
	if steps := slices.Sorted(maps.Keys(got)); !slices.Equal(steps, []int64{56, 112, 160}) {
		t.Errorf("events after %v images, want 56, 112, 160", steps)
	}
	for _, name := range []string{"train/loss", "train/lr", "speed/images_per_sec", "validation/loss", "validation/sigma_0.002_to_0.00752", "eval/fd"} {
		if _, ok := got[160][name]; !ok {
			t.Errorf("no %s in %v", name, got[160])
		}
	}
	if got[160]["eval/fd"] != 3 || !(got[56]["train/loss"] > 0) {
		t.Errorf("eval/fd %v, loss %v", got[160]["eval/fd"], got[56]["train/loss"])
	}
}
