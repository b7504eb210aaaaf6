package report

import (
	"bytes"
	"encoding/json"
	"strings"
)

// An Option is one setting of a run.
type Option struct {
	Path  string `json:"path"` // such as options.lr or setup.network.model_channels
	Value string `json:"value"`
}

// readOptions flattens options.json. What cannot be read becomes a note.
func (r *Run) readOptions(text []byte) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if !json.Valid(text) { // also refuses depths that recursion would not survive
		r.note("options.json is damaged")
		return
	}
	r.flatten(d, "")
}

// flatten adds the next value of d, which is valid JSON, under path: objects field by field, lists as one option.
func (r *Run) flatten(d *json.Decoder, path string) {
	token, err := d.Token()
	if err != nil { // json.Valid has been asked
		panic(err)
	}
	switch token {
	case json.Delim('{'):
		for d.More() {
			key, _ := d.Token()
			r.flatten(d, strings.TrimPrefix(path+"."+key.(string), "."))
		}
		d.Token()
	case json.Delim('['):
		var parts []string
		for d.More() {
			var v any
			d.Decode(&v)
			parts = append(parts, plain(v))
		}
		d.Token()
		r.Options = append(r.Options, Option{path, strings.Join(parts, ", ")})
	default:
		r.Options = append(r.Options, Option{path, plain(token)})
	}
}

// plain writes a JSON value for people: strings without quotes, long ones cut.
func plain(v any) string {
	s, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil { // it came from JSON
			panic(err)
		}
		s = string(b)
	}
	if r := []rune(s); len(r) > 1000 {
		s = string(r[:1000]) + "…"
	}
	return s
}

// option returns the value of a setting, "" if there is none.
func (r *Run) option(path string) string {
	for _, o := range r.Options {
		if o.Path == path {
			return o.Value
		}
	}
	return ""
}
