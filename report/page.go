package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"sync"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// DefaultPictureLimit is how many bytes of pictures a page holds unless told otherwise.
const DefaultPictureLimit = 16 << 20

// A page is what page.html is filled with.
type page struct {
	*Report
	Title    string
	Policy   string
	CSS      template.CSS
	JS       template.JS
	Data     pageData
	Overview grid
	Groups   []chartGroup
	Albums   []album
	ByClass  grid
	Options  []grid
	Sessions grid
	Evals    grid
	Logs     []string // of each run, its last lines
}

// pageTemplate is page.html, parsed when it is first needed.
var pageTemplate = sync.OnceValue(func() *template.Template {
	functions := template.FuncMap{"whole": whole, "class": runClass, "times": func(a, b int) int { return a * b }}
	return template.Must(template.New("page").Funcs(functions).Parse(pageHTML))
})

// pageData is what page.js works with.
type pageData struct {
	Runs   []runData `json:"runs"`
	Charts []Chart   `json:"charts"`
}

type runData struct {
	Name    string  `json:"name"`
	Images  Numbers `json:"images"`  // ticks
	Seconds Numbers `json:"seconds"` // time spent until then
}

type chartGroup struct {
	Title  string
	Charts []figure
}

// A figure is a chart with all that stands around it.
type figure struct {
	Chart
	Index    int // in pageData.Charts
	Plot     plot
	Sentence string
	Numbers  grid
}

// An album is the pictures of one run.
type album struct {
	Run      string
	Class    string
	Pictures []shown
	Note     string // how many are left out, and why
}

type shown struct {
	Picture
	URL   template.URL
	Scale int // how many screen pixels wide a pixel is at most
}

// albumWidth is how wide small pictures are shown at most: whole multiples of their size, so that all pixels are alike.
const albumWidth = 640

// Write writes the page. It holds at most limit bytes of pictures, shared evenly by the runs: of a run with more, evenly spaced ones, and a line
// that says so. Errors are the writer's and those of reading pictures.
func (r *Report) Write(w io.Writer, limit int64) error {
	p := page{
		Report: r, Title: strings.Join(r.names(), ", "), CSS: template.CSS(pageCSS), JS: template.JS(pageJS), Policy: policy(),
		Overview: r.overview(), ByClass: r.byClass(), Options: r.options(), Sessions: r.sessions(), Evals: r.evaluations(),
		Data: pageData{Charts: r.Charts},
	}
	for i, run := range r.Runs {
		d := runData{Name: run.Name}
		d.Images, d.Seconds = run.clock()
		p.Data.Runs = append(p.Data.Runs, d)
		p.Logs = append(p.Logs, strings.Join(run.log, "\n"))
		if len(run.Pictures) > 0 {
			a, err := run.album(i, limit/int64(len(r.Runs)))
			if err != nil {
				return err
			}
			p.Albums = append(p.Albums, a)
		}
	}
	p.Groups = r.figures()
	return pageTemplate().Execute(w, p)
}

// policy lets a browser load nothing and run no script but ours, whatever a run folder may have smuggled in.
func policy() string {
	sum := sha256.Sum256([]byte(pageJS))
	return fmt.Sprintf("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-%s'", base64.StdEncoding.EncodeToString(sum[:]))
}

// figures draws the charts, group by group.
func (r *Report) figures() []chartGroup {
	var all []chartGroup
	for i, c := range r.Charts {
		same := []*Chart{&r.Charts[i]}
		for j := range r.Charts {
			if other := &r.Charts[j]; c.Share != "" && other.Share == c.Share && j != i {
				same = append(same, other)
			}
		}
		lo, hi := bounds(same)
		xlo, xhi := extent(r.Charts, c.Over)
		f := figure{Chart: c, Index: i, Plot: c.draw(xlo, xhi, lo, hi), Sentence: c.sentence(), Numbers: c.numbers()}
		at := slices.IndexFunc(all, func(g chartGroup) bool { return g.Title == c.Group })
		if at < 0 {
			at = len(all)
			all = append(all, chartGroup{Title: c.Group})
		}
		all[at].Charts = append(all[at].Charts, f)
	}
	return all
}

// album reads the pictures of a run, the i-th, that fit into limit bytes.
func (r *Run) album(i int, limit int64) (album, error) {
	a := album{Run: r.Name, Class: runClass(i)}
	some := choose(r.Pictures, limit)
	if n := len(r.Pictures); len(some) < n {
		a.Note = fmt.Sprintf("%d of %d grids: more would make the page larger than its limit of %.3g MB a run (--picture-limit)", len(some), n, float64(limit)/1e6)
	}
	for _, p := range some {
		url, err := p.url()
		if err != nil {
			return a, err
		}
		a.Pictures = append(a.Pictures, shown{p, url, max(1, albumWidth/p.Width)})
	}
	return a, nil
}
