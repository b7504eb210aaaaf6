package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A grid is a table of a page: a column per run, or whatever its header says.
type grid struct {
	Title  string
	Header []string
	Rows   []gridRow
	Words  bool // the cells are no numbers
}

type gridRow struct {
	Label   string
	Cells   []string
	Differs bool // the runs do not agree
}

// add appends a row unless all its cells are empty.
func (g *grid) add(label string, cells []string) {
	if slices.ContainsFunc(cells, func(c string) bool { return c != "" }) {
		g.Rows = append(g.Rows, gridRow{label, cells, slices.ContainsFunc(cells, func(c string) bool { return c != cells[0] })})
	}
}

// each makes a row's cells, one per run.
func (r *Report) each(cell func(*Run) string) []string {
	var cells []string
	for _, run := range r.Runs {
		cells = append(cells, cell(run))
	}
	return cells
}

func (r *Report) names() []string { return r.each(func(run *Run) string { return run.Name }) }

// overview is the table that a page begins with.
func (r *Report) overview() grid {
	g := grid{Header: r.names()}
	g.add("State", r.each(func(run *Run) string { return run.State.words() }))
	g.add("Images shown", r.each(func(run *Run) string {
		if run.Duration > 0 {
			return fmt.Sprintf("%s of %s", whole(run.Images), whole(run.Duration))
		}
		return whole(run.Images)
	}))
	g.add("Time spent", r.each(func(run *Run) string {
		if _, seconds := run.clock(); len(seconds) > 0 {
			return duration(seconds[len(seconds)-1])
		}
		return ""
	}))
	g.add("Data", r.each((*Run).dataWords))
	for _, c := range r.Charts {
		switch {
		case c.ID == "images_per_sec":
			g.add(c.Title+", median", c.medians(len(r.Runs)))
		case c.Group == groupQuality, c.Group == groupLoss, c.ID == "peak_memory_bytes":
			g.add(c.Title, c.words(len(r.Runs)))
		}
	}
	g.add("Network", r.each(func(run *Run) string { return run.modelFact("parameters") }))
	g.add("Arithmetic", r.each(func(run *Run) string { return run.modelFact("arithmetic") }))
	return g
}

// words are the last and the best value of each run's curve.
func (c *Chart) words(runs int) []string {
	cells := make([]string, runs)
	for _, s := range c.Series {
		last := short(s.Y[len(s.Y)-1])
		if c.Unit != "" {
			last += " " + c.Unit
		}
		if best, at := s.best(c.better); c.better != 0 && at != len(s.Y)-1 {
			last += fmt.Sprintf(" (best %s at %s)", short(best), short(s.X[at]))
		}
		cells[s.Run] = last
	}
	return cells
}

// medians are the middle values of each run's curve.
func (c *Chart) medians(runs int) []string {
	cells := make([]string, runs)
	for _, s := range c.Series {
		sorted := slices.Sorted(slices.Values(s.Y))
		cells[s.Run] = short(sorted[len(sorted)/2]) + " " + c.Unit
	}
	return cells
}

// best finds the lowest (better < 0) or highest value.
func (s *Series) best(better int) (float64, int) {
	at := 0
	for i, v := range s.Y {
		if better < 0 && v < s.Y[at] || better > 0 && v > s.Y[at] {
			at = i
		}
	}
	return s.Y[at], at
}

// words describe a state.
func (s State) words() string {
	when := ""
	if !s.Last.IsZero() {
		when = s.Last.Format("2006-01-02 15:04 UTC")
	}
	switch {
	case s.Word == "finished" && when != "":
		return "finished " + when
	case s.Word == "running":
		return "running, last heard of " + when
	case s.Word == "silent" && when != "":
		return "not finished, last heard of " + when
	case s.Word == "silent":
		return "nothing heard of yet"
	case s.Why != "":
		return "failed: " + s.Why
	}
	return s.Word
}

// dataWords describe the pictures learned from.
func (r *Run) dataWords() string {
	n, err := strconv.ParseFloat(r.option("data.images"), 64)
	if err != nil {
		return ""
	}
	s := fmt.Sprintf("%s pictures of %s×%s", whole(n), r.option("data.height"), r.option("data.width"))
	if c := r.option("data.classes"); c != "" && c != "0" {
		s += " in " + c + " classes"
	}
	return s
}

// modelFact finds a fact of the run's model.
func (r *Run) modelFact(label string) string {
	if r.Model != nil {
		for _, f := range r.Model.Facts {
			if f[0] == label {
				return f[1]
			}
		}
	}
	return ""
}

// numbers summarise a chart's curves for those who do not see them.
func (c *Chart) numbers() grid {
	x := c.Over
	g := grid{Header: []string{"first", "lowest", "at " + x, "highest", "at " + x, "last", "at " + x}}
	for _, s := range c.Series {
		low, at := s.best(-1)
		high, top := s.best(1)
		n := len(s.Y) - 1
		g.Rows = append(g.Rows, gridRow{Label: s.Name, Cells: []string{
			short(s.Y[0]), short(low), c.place(s.X[at]), short(high), c.place(s.X[top]), short(s.Y[n]), c.place(s.X[n]),
		}})
	}
	return g
}

// place writes a value of the x axis.
func (c *Chart) place(x float64) string {
	if c.Over == "images" {
		return whole(x)
	}
	return short(x)
}

// sentence tells in words what a chart shows.
func (c *Chart) sentence() string {
	var parts []string
	for _, s := range c.Series {
		n := len(s.Y) - 1
		parts = append(parts, fmt.Sprintf("%s from %s to %s", s.Name, short(s.Y[0]), short(s.Y[n])))
		if len(parts) == 12 {
			parts = append(parts, fmt.Sprintf("and %d more", len(c.Series)-12))
			break
		}
	}
	return fmt.Sprintf("%s over %s: %s.", c.Title, c.Over, strings.Join(parts, "; "))
}

// options are the settings of all runs, a grid for each object in options.json.
func (r *Report) options() []grid {
	var paths []string
	values := make([]map[string]string, len(r.Runs))
	for i, run := range r.Runs {
		values[i] = map[string]string{}
		for _, o := range run.Options {
			if !slices.Contains(paths, o.Path) {
				paths = append(paths, o.Path)
			}
			values[i][o.Path] = o.Value
		}
	}
	var all []grid
	for _, path := range paths {
		part, name := "run", path
		if dot := strings.LastIndexByte(path, '.'); dot >= 0 {
			part, name = path[:dot], path[dot+1:]
		}
		at := slices.IndexFunc(all, func(g grid) bool { return g.Title == part })
		if at < 0 {
			at = len(all)
			all = append(all, grid{Title: part, Header: r.names()})
		}
		cells := make([]string, len(r.Runs))
		for i := range r.Runs {
			cells[i] = values[i][path]
		}
		all[at].add(name, cells)
	}
	return all
}

// byClass is the table of the last Fréchet distances by class.
func (r *Report) byClass() grid {
	g := grid{}
	names := map[string]bool{}
	var last []map[string]float64
	for _, run := range r.Runs {
		values := map[string]float64{}
		head := run.Name
		if n := len(run.classes); n > 0 {
			values = run.classes[n-1].values
			head += " at " + whole(run.classes[n-1].images)
		}
		for name := range values {
			names[name] = true
		}
		g.Header, last = append(g.Header, head), append(last, values)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		var cells []string
		for _, values := range last {
			cell := ""
			if v, ok := values[name]; ok {
				cell = short(v)
			}
			cells = append(cells, cell)
		}
		g.add(name, cells)
	}
	return g
}

// sessions is the table of programs and machines.
func (r *Report) sessions() grid {
	g := grid{Words: true, Header: []string{"from image", "time", "program", "system", "kernels", "threads"}}
	for _, run := range r.Runs {
		for _, s := range run.Sessions {
			program := strings.TrimSpace("diffuse " + s.Version + " " + s.Commit)
			g.Rows = append(g.Rows, gridRow{Label: run.Name, Cells: []string{
				whole(s.Images), s.Time.UTC().Format("2006-01-02 15:04"), program, strings.TrimSpace(s.System + " " + s.Go), s.Kernels, strconv.Itoa(s.Threads),
			}})
		}
	}
	return g
}

// evaluations is the table of what "diffuse eval" measured.
func (r *Report) evaluations() grid {
	g := grid{Words: true, Header: []string{"time", "samples", "reference", "numbers"}}
	for _, run := range r.Runs {
		for _, e := range run.evals {
			var numbers []string
			for _, name := range slices.Sorted(maps.Keys(e.Metrics)) {
				m := e.Metrics[name]
				n := name + " " + short(m.Value)
				if m.Std != nil && *m.Std != 0 {
					n += " ± " + short(*m.Std)
				}
				numbers = append(numbers, n)
			}
			g.Rows = append(g.Rows, gridRow{Label: run.Name, Cells: []string{
				e.Time.UTC().Format("2006-01-02 15:04"), e.Samples, e.Reference, strings.Join(numbers, ", "),
			}})
		}
	}
	return g
}

// short writes a number with four digits.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e9:
		return fmt.Sprintf("%.3e", v)
	case a >= 1e6:
		return strconv.FormatFloat(math.Round(v/1e4)/100, 'f', -1, 64) + "M"
	case a >= 1e4:
		return strconv.FormatFloat(math.Round(v/1e2)/10, 'f', -1, 64) + "k"
	}
	return fmt.Sprintf("%.4g", v)
}

// whole writes a whole number with commas between thousands.
func whole(v float64) string {
	s := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// duration writes seconds for people.
func duration(seconds float64) string {
	switch {
	case seconds < 2*60:
		return fmt.Sprintf("%.0f s", seconds)
	case seconds < 2*3600:
		return fmt.Sprintf("%.0f min", seconds/60)
	case seconds < 72*3600:
		return fmt.Sprintf("%.1f h", seconds/3600)
	}
	return fmt.Sprintf("%.1f d", seconds/86400)
}
