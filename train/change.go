package train

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Change is one field of options.json in which a job differs from the run that it is to go on with.
type Change struct {
	Field   string // path with dots, such as options.lr or setup.network.dropout
	Was, Is string // JSON
}

func (c Change) String() string {
	return fmt.Sprintf("%s was %s, is %s", strings.TrimPrefix(c.Field, "options."), c.Was, c.Is)
}

// Changed is the error of Resume for a job that differs from the run in more than Job.AllowChange lets it.
type Changed struct {
	Changes []Change // all that are not allowed
}

func (e *Changed) Error() string { return "the run was started with other options: " + List(e.Changes) }

// changes returns how now differs from the record r of a run that is to go on after `images` images. The end of the
// run may change, its duration and the decay of the learning rate, while no step taken so far would have been
// another: so a run at a constant rate can be made longer, or brought to its end by a decay that begins later.
// Anything else that training depends on makes the result neither run's: if allow, which may be nil, does not take it the
// error is a *[Changed].
func (r record) changes(now record, images int64, allow func(field string) bool) ([]Change, error) {
	if was, is := &r.Options, now.Options; min(was.DecayStart(), is.DecayStart()) >= images {
		was.Duration, was.LRDecay, was.LRDecayFraction = is.Duration, is.LRDecay, is.LRDecayFraction
	}
	r.Evaluation, now.Evaluation = nil, nil
	return Changes(r, now, allow)
}

// Changes lists the fields in which the JSON form of is, the record of a run that is to go on, differs from that of was. Those that allow does
// not take (nil: none) are the error, a *[Changed].
func Changes(was, is any, allow func(field string) bool) ([]Change, error) {
	a, err := generic(was)
	if err != nil {
		return nil, err
	}
	b, err := generic(is)
	if err != nil {
		return nil, err
	}
	all := differences("", a, b)
	refused := slices.DeleteFunc(slices.Clone(all), func(c Change) bool { return allow != nil && allow(c.Field) })
	if len(refused) > 0 {
		return nil, &Changed{refused}
	}
	return all, nil
}

// List writes changes on one line.
func List(changes []Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, c.String())
	}
	return strings.Join(all, "; ")
}

// generic turns a value into maps, slices and exact numbers by way of JSON.
func generic(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // seeds have more digits than a float64
	var g any
	return g, d.Decode(&g)
}

// differences lists the fields below path in which two generic values differ.
func differences(path string, was, is any) []Change {
	a, ok := was.(map[string]any)
	b, ok2 := is.(map[string]any)
	if ok && ok2 {
		all := maps.Clone(a)
		maps.Copy(all, b)
		var d []Change
		for _, k := range slices.Sorted(maps.Keys(all)) {
			d = append(d, differences(strings.TrimPrefix(path+"."+k, "."), a[k], b[k])...)
		}
		return d
	}
	x, _ := json.Marshal(was)
	y, _ := json.Marshal(is)
	if bytes.Equal(x, y) {
		return nil
	}
	return []Change{{path, string(x), string(y)}}
}
