package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
)

// maxLine bounds a line of a JSON lines file: what is longer was not written by us.
const maxLine = 16 << 20

// readLines calls use for every line of the file at path, which need not exist. Lines that use refuses are skipped, and summed up in a note;
// a last line without its end is dropped silently, since its writer may be at it.
func (r *Run) readLines(name, path string, use func(line []byte) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading a run: %w", err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, maxLine)
	sc.Split(wholeLines)
	number, bad, first := 0, 0, ""
	for sc.Scan() {
		number++
		line := bytes.TrimSpace(sc.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := use(line); err != nil {
			if bad++; bad == 1 {
				first = fmt.Sprintf("line %d: %v", number, err)
			}
		}
	}
	switch {
	case errors.Is(sc.Err(), bufio.ErrTooLong):
		r.note("%s is read up to line %d: the next is longer than %d MB", name, number, maxLine>>20)
	case sc.Err() != nil:
		return fmt.Errorf("reading %s: %w", path, sc.Err())
	}
	if bad > 0 {
		r.note("%s: %d of %d lines cannot be read and are left out (%s)", name, bad, number, first)
	}
	return nil
}

// wholeLines is bufio.ScanLines without a last line that does not end.
func wholeLines(data []byte, _ bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	return 0, nil, nil
}

// numbersOf returns the numbers of a JSON object by name; those of objects inside it by both names, joined by a dot. Everything else in it,
// and numbers that cannot be drawn, are left out.
func numbersOf(line []byte) (map[string]float64, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	all := map[string]float64{}
	collectNumbers(all, "", object)
	return all, nil
}

func collectNumbers(all map[string]float64, prefix string, object map[string]any) {
	for name, v := range object {
		switch v := v.(type) {
		case json.Number:
			if f, err := v.Float64(); err == nil && drawable(f) {
				all[prefix+name] = f
			}
		case map[string]any:
			collectNumbers(all, prefix+name+".", v)
		}
	}
}

// drawable tells whether a number leaves room for the arithmetic of axes.
func drawable(v float64) bool { return math.Abs(v) <= 1e100 }

// imagesOf finds how many images had been shown when a line was written.
func imagesOf(numbers map[string]float64) (float64, error) {
	for _, name := range []string{"nimg", "images"} {
		if n, ok := numbers[name]; ok && n >= 0 && n <= 1e15 {
			return n, nil
		}
	}
	return 0, errors.New(`no "nimg" or "images"`)
}

// Numbers are a curve's coordinates. As JSON they have seven digits, or all of them where they are whole.
type Numbers []float64

// MarshalJSON writes an array.
func (n Numbers) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, v := range n {
		if i > 0 {
			b = append(b, ',')
		}
		if v == float64(int64(v)) {
			b = strconv.AppendInt(b, int64(v), 10)
		} else {
			b = strconv.AppendFloat(b, v, 'g', 7, 64)
		}
	}
	return append(b, ']'), nil
}
