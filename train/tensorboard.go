package train

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"diffuse/checkpoint"
)

// eventsFile has the word "tfevents" in its name by which TensorBoard finds its files. There is one for all sessions of a run.
const eventsFile = "events.out.tfevents.diffuse"

// An eventLog writes numbers for TensorBoard: records (length and bytes, each with a masked CRC-32C, as TensorFlow's TFRecord has them) of Event messages,
// whose step is the count of images. A nil eventLog writes nothing.
type eventLog struct{ file *os.File }

// A Scalar is one number with its name in TensorBoard.
type Scalar struct {
	Name  string // with a slash after the group
	Value float64
}

// The fields of TensorFlow's messages Event, Summary and Summary.Value that are used here.
const (
	eventWallTime    protowire.Number = 1
	eventStep        protowire.Number = 2
	eventFileVersion protowire.Number = 3
	eventSummary     protowire.Number = 5
	summaryValue     protowire.Number = 1
	valueTag         protowire.Number = 1
	valueSimple      protowire.Number = 2
)

// openEvents opens the file in dir for appending, after dropping records from beyond `images` shown. If there is none it is made if wanted, else nil.
func openEvents(dir string, images int64, wanted bool) (*eventLog, error) {
	path := filepath.Join(dir, eventsFile)
	old, err := os.ReadFile(path)
	if os.IsNotExist(err) && !wanted {
		return nil, nil
	}
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	if keep := rewindEvents(old, images); keep < len(old) {
		err := checkpoint.AtomicFile(path, func(w io.Writer) error {
			_, err := w.Write(old[:keep])
			return err
		})
		if err != nil {
			return nil, err
		}
		old = old[:keep]
	}
	f, err := appendTo(path)
	if err != nil {
		return nil, err
	}
	e := &eventLog{f}
	if len(old) == 0 {
		version := protowire.AppendTag(event(time.Now()), eventFileVersion, protowire.BytesType)
		if err := e.write(protowire.AppendString(version, "brain.Event:2")); err != nil {
			f.Close()
			return nil, err
		}
	}
	return e, nil
}

// scalars appends one event with numbers after `images` images.
func (e *eventLog) scalars(images int64, values []Scalar) error {
	if e == nil {
		return nil
	}
	var summary []byte
	for _, v := range values {
		b := protowire.AppendTag(nil, valueTag, protowire.BytesType)
		b = protowire.AppendString(b, v.Name)
		b = protowire.AppendTag(b, valueSimple, protowire.Fixed32Type)
		b = protowire.AppendFixed32(b, math.Float32bits(float32(v.Value)))
		summary = protowire.AppendTag(summary, summaryValue, protowire.BytesType)
		summary = protowire.AppendBytes(summary, b)
	}
	b := protowire.AppendTag(event(time.Now()), eventStep, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(images))
	b = protowire.AppendTag(b, eventSummary, protowire.BytesType)
	return e.write(protowire.AppendBytes(b, summary))
}

// event begins an Event.
func event(now time.Time) []byte {
	b := protowire.AppendTag(nil, eventWallTime, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, math.Float64bits(float64(now.UnixMicro())/1e6))
}

// write appends a record.
func (e *eventLog) write(data []byte) error {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(b))
	b = append(b, data...)
	_, err := e.file.Write(binary.LittleEndian.AppendUint32(b, maskedCRC(data)))
	return err
}

// maskedCRC is TFRecord's checksum: CRC-32C, turned and moved so that checksums of data that hold checksums stay good.
func maskedCRC(b []byte) uint32 {
	c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8
}

// rewindEvents returns the length of the records at the beginning of a file that are whole and from at most `images` shown.
func rewindEvents(file []byte, images int64) int {
	keep := 0
	for {
		data, size := nextRecord(file[keep:])
		if size == 0 || eventImages(data) > images {
			return keep
		}
		keep += size
	}
}

// nextRecord returns the data of the first record and the length of it all, 0 if it is not whole.
func nextRecord(b []byte) (data []byte, size int) {
	const head, tail = 12, 4
	if len(b) < head || binary.LittleEndian.Uint32(b[8:]) != maskedCRC(b[:8]) {
		return nil, 0
	}
	n := binary.LittleEndian.Uint64(b)
	if n > uint64(len(b)) || len(b) < head+int(n)+tail {
		return nil, 0
	}
	data = b[head : head+int(n)]
	if binary.LittleEndian.Uint32(b[head+int(n):]) != maskedCRC(data) {
		return nil, 0
	}
	return data, head + int(n) + tail
}

// eventImages returns an event's step: 0 if it has none, like the first in a file.
func eventImages(b []byte) int64 {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return math.MaxInt64 // no event of ours
		}
		b = b[n:]
		if number == eventStep && kind == protowire.VarintType {
			step, _ := protowire.ConsumeVarint(b)
			return int64(step)
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return math.MaxInt64
		}
		b = b[n:]
	}
	return 0
}

// Scalars are the numbers of a tick.
func (s Stats) Scalars() []Scalar {
	return []Scalar{
		{"train/loss", s.Loss}, {"train/grad_norm", s.GradNorm}, {"train/max_grad_norm", s.MaxGradNorm}, {"train/lr", s.LR}, {"train/ema_beta", s.EMABeta},
		{"speed/images_per_sec", s.Rate}, {"speed/sec_maintenance", s.Maintenance}, {"speed/peak_memory_bytes", float64(s.PeakMemory)},
	}
}

// scalars are the numbers of a validation.
func (v ValidationLine) scalars() []Scalar {
	all := []Scalar{{"validation/loss", v.Loss}}
	for _, b := range v.Bins {
		all = append(all, Scalar{fmt.Sprintf("validation/sigma_%.3g_to_%.3g", b.Low, b.High), b.Loss})
	}
	return all
}
