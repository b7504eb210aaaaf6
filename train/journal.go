package train

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"diffuse/checkpoint"
)

// Stats is one line of stats.jsonl: what happened in one tick. Those of Lap depend on the clock and
// the machine; all others are the same in every repetition of a run.
type Stats struct {
	Tick        int64   `json:"tick"`          // counted from 1
	Images      int64   `json:"nimg"`          // images shown since the run began
	Steps       int64   `json:"steps"`         // steps since the run began
	Loss        float64 `json:"loss"`          // mean of StepResult.Loss over the tick
	GradNorm    float64 `json:"grad_norm"`     // mean L2 norm of the gradient over the tick
	MaxGradNorm float64 `json:"max_grad_norm"` // largest L2 norm of the gradient in the tick
	LR          float64 `json:"lr"`            // learning rate of the last step
	EMABeta     float64 `json:"ema_beta"`      // share of the old average in the last step
	Lap
}

func (s Stats) String() string {
	return fmt.Sprintf("tick %d  loss %.5g  gradient %.4g  lr %.4g  %v", s.Tick, s.Loss, s.GradNorm, s.LR, s.Lap)
}

// A metricsLine is one line of metrics.jsonl: what Job.Evaluate measured, and of which state of the run.
type metricsLine struct {
	Tick       int64 `json:"tick"`
	Images     int64 `json:"nimg"`
	Evaluation any   `json:"evaluation"`
}

// A journal is the files that a run appends to. Every line carries the number of images shown before it was
// written, so that lines which a crash left behind the last checkpoint can be found and dropped.
type journal struct {
	stats, log          *os.File
	metrics, validation *os.File          // nil until something has been measured
	events              *eventLog         // nil if TensorBoard is not written for
	evaluated           int64             // images in the last line of metrics, -1 if there is none
	echo                func(line string) // may be nil
}

// openJournal opens the files in dir for appending, after dropping lines from beyond `images` shown. TensorBoard is written for if it is so
// far, or if tensorboard says so.
func openJournal(dir string, images int64, tensorboard bool, echo func(string)) (*journal, error) {
	stats, log, metrics := filepath.Join(dir, statisticsFile), filepath.Join(dir, logFile), filepath.Join(dir, metricsFile)
	if _, err := rewind(stats, images, statsImages); err != nil {
		return nil, err
	}
	if _, err := rewind(log, images, logImages); err != nil {
		return nil, err
	}
	j := &journal{echo: echo}
	var err error
	if j.evaluated, err = rewind(metrics, images, metricsImages); err != nil {
		return nil, err
	}
	if _, err := rewind(filepath.Join(dir, validationFile), images, metricsImages); err != nil {
		return nil, err
	}
	if j.stats, err = appendTo(stats); err == nil {
		j.log, err = appendTo(log)
	}
	if err == nil {
		j.events, err = openEvents(dir, images, tensorboard)
	}
	if err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

func appendTo(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
}

// rewind cuts the file at path after its last line from at most `images` shown, as told by parse, and returns the images of that line,
// -1 for none; a line that cannot be parsed was cut short by a crash. A missing file is an empty one.
func rewind(path string, images int64, parse func(line []byte) (int64, bool)) (int64, error) {
	last := int64(-1)
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return last, nil
	}
	if err != nil {
		return last, err
	}
	keep := 0
	for keep < len(text) {
		end := bytes.IndexByte(text[keep:], '\n')
		if end < 0 {
			break
		}
		n, ok := parse(text[keep : keep+end])
		if !ok || n > images {
			break
		}
		last = n
		keep += end + 1
	}
	if keep == len(text) {
		return last, nil
	}
	return last, checkpoint.AtomicFile(path, func(w io.Writer) error {
		_, err := w.Write(text[:keep])
		return err
	})
}

func statsImages(line []byte) (int64, bool) {
	var s Stats
	err := json.Unmarshal(line, &s)
	return s.Images, err == nil
}

func metricsImages(line []byte) (int64, bool) {
	var m metricsLine
	err := json.Unmarshal(line, &m)
	return m.Images, err == nil
}

func logImages(line []byte) (int64, bool) {
	fields := strings.Fields(string(line))
	if len(fields) == 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	return n, err == nil
}

// tick appends statistics to stats.jsonl, in words to the log, and to the file for TensorBoard.
func (j *journal) tick(images int64, s Statistics) error {
	if err := j.events.scalars(images, s.Scalars()); err != nil {
		return err
	}
	line, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("statistics: %w", err)
	}
	if _, err := j.stats.Write(append(line, '\n')); err != nil {
		return err
	}
	return j.say(images, "%s", s)
}

// metric appends a line to metrics.jsonl.
func (j *journal) metric(dir string, m metricsLine, e Evaluation) error {
	if err := appendLine(&j.metrics, filepath.Join(dir, metricsFile), m); err != nil {
		return err
	}
	j.evaluated = m.Images
	var values []Scalar
	for _, name := range slices.Sorted(maps.Keys(e.Scalars)) {
		values = append(values, Scalar{"eval/" + name, e.Scalars[name]})
	}
	return j.events.scalars(m.Images, values)
}

// validated appends a line to validation.jsonl.
func (j *journal) validated(dir string, v ValidationLine) error {
	if err := appendLine(&j.validation, filepath.Join(dir, validationFile), v); err != nil {
		return err
	}
	if err := j.events.scalars(v.Images, v.scalars()); err != nil {
		return err
	}
	return j.say(v.Images, "tick %d  validation loss %.5g", v.Tick, v.Loss)
}

// appendLine appends v as JSON to the file at path, which is opened for the first line of a session.
func appendLine(f **os.File, path string, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("a line of %s: %w", filepath.Base(path), err)
	}
	if *f == nil {
		if *f, err = appendTo(path); err != nil {
			return err
		}
	}
	_, err = (*f).Write(append(line, '\n'))
	return err
}

// say appends a line to the log.
func (j *journal) say(images int64, format string, args ...any) error {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
	if j.echo != nil {
		j.echo(text)
	}
	_, err := fmt.Fprintf(j.log, "%10d  %s\n", images, text)
	return err
}

// sync flushes the files to the disk: what a checkpoint follows must not be lost after it.
func (j *journal) sync() error {
	for _, f := range j.files() {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) close() {
	for _, f := range j.files() {
		f.Close()
	}
}

// files are those that are open.
func (j *journal) files() []*os.File {
	all := []*os.File{j.stats, j.log, j.metrics, j.validation}
	if j.events != nil {
		all = append(all, j.events.file)
	}
	return slices.DeleteFunc(all, func(f *os.File) bool { return f == nil })
}

// peakMemory returns the most memory that the process has held: what Linux reports, elsewhere what Go's runtime asked for.
func peakMemory() int64 {
	if text, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				if kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64); err == nil {
					return kb << 10
				}
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}
