package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"diffuse/report"
)

// now is two minutes after the last line of a fixture.
var now = time.Unix(1_800_000_120, 0)

// fixture is a finished run in a new folder called name: six ticks, two measurements, a validation, three grids.
func fixture(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	var stats, log strings.Builder
	for tick := 1; tick <= 6; tick++ {
		fmt.Fprintf(&stats, `{"tick":%d,"nimg":%d,"steps":%d,"loss":%g,"grad_norm":%d,"lr":0.001,"images_per_sec":50,"peak_memory_bytes":250000000,"sec_per_tick":20,"sec_maintenance":10,"timestamp":%d,"surprise":%d,"nested":{"deep":%d},"word":"no number"}`+"\n",
			tick, 1000*tick, 10*tick, 1/float64(tick), 100*tick, 1_799_999_700+50*tick, -tick, tick)
		fmt.Fprintf(&log, "%10d  tick %d\n", 1000*tick, tick)
	}
	put(t, dir, "stats.jsonl", stats.String())
	put(t, dir, "log.txt", log.String())
	put(t, dir, "options.json", `{"options":{"seed":18446744073709551615,"duration":6000,"lr":0.001},"data":{"images":60000,"height":28,"width":28,"classes":10},"setup":{"network":{"channel_mult":[1,2,2]}}}`)
	put(t, dir, "metrics.jsonl",
		`{"tick":3,"nimg":3000,"evaluation":{"reference":"real","features":"fashion","pictures":200,"metrics":{"fd-fashion":{"value":7.5},"accuracy":{"value":0.25}},"per_class":{"bag":9.25}}}`+"\n"+
			`{"tick":6,"nimg":6000,"evaluation":{"reference":"real","features":"fashion","pictures":200,"metrics":{"fd-fashion":{"value":2.5},"accuracy":{"value":0.5}},"per_class":{"bag":3.125}}}`+"\n")
	put(t, dir, "validation.jsonl",
		`{"tick":3,"nimg":3000,"loss":0.5,"bins":[{"sigma_min":0.01,"sigma_max":1,"loss":0.4},{"sigma_min":1,"sigma_max":100,"loss":0.6}]}`+"\n"+
			`{"tick":6,"nimg":6000,"loss":0.3,"bins":[{"sigma_min":0.01,"sigma_max":1,"loss":0.2},{"sigma_min":1,"sigma_max":100,"loss":null}]}`+"\n")
	put(t, dir, "eval.jsonl", `{"samples":"snapshot","reference":"real","metrics":{"kid":{"value":0.01,"std":0.002}},"time":"2026-01-02T03:04:05Z"}`+"\n")
	put(t, dir, "sessions.jsonl", `{"nimg":0,"time":"2026-01-02T03:04:05Z","version":"v1.2.3","go":"go1.26","system":"linux/amd64","kernels":"avx2","threads":4}`+"\n")
	for _, images := range []int{2000, 4000, 6000} {
		picture(t, dir, images)
	}
	return dir
}

func put(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func picture(t testing.TB, dir string, images int) {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 30, 20))); err != nil {
		t.Fatal(err)
	}
	put(t, dir, fmt.Sprintf("pictures-%09d.png", images), b.String())
}

func read(t testing.TB, dirs ...string) *report.Report {
	t.Helper()
	var runs []*report.Run
	for _, dir := range dirs {
		r, err := report.Read(dir, now)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	return report.New(runs, "diffuse test", now)
}

func page(t testing.TB, r *report.Report, limit int64) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b, limit); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// between returns what stands in s behind the first start and before the end that follows.
func between(t testing.TB, s, start, end string) string {
	t.Helper()
	_, rest, ok := strings.Cut(s, start)
	inner, _, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("the page has no %s…%s", start, end)
	}
	return inner
}

// data is what a page's script works with.
type data struct {
	Runs []struct {
		Name            string
		Images, Seconds []float64
	}
	Charts []chart
}

type chart struct {
	ID, Title, Unit, Group string
	Log                    bool
	Series                 []struct {
		Name  string
		Run   int
		Level *float64
		X, Y  []float64
	}
}

func embedded(t testing.TB, page string) data {
	t.Helper()
	var d data
	if err := json.Unmarshal([]byte(between(t, page, `<script type="application/json" id="data">`, "</script>")), &d); err != nil {
		t.Fatalf("the page's data: %v", err)
	}
	return d
}

// TestPage builds the page of a run and finds in it what the folder holds: as curves, as a drawing without scripts, and in words.
func TestPage(t *testing.T) {
	p := page(t, read(t, fixture(t, "mine")), 1<<20)
	d := embedded(t, p)
	want := map[string][]float64{
		"loss": {1, 0.5, 0.3333333, 0.25, 0.2, 0.1666667}, "grad_norm": {100, 200, 300, 400, 500, 600}, "peak_memory_bytes": {250, 250, 250, 250, 250, 250},
		"surprise": {-1, -2, -3, -4, -5, -6}, "nested.deep": {1, 2, 3, 4, 5, 6}, "metric-fd-fashion": {7.5, 2.5}, "metric-accuracy": {0.25, 0.5}, "validation": {0.5, 0.3},
	}
	found := map[string]bool{}
	for _, c := range d.Charts {
		found[c.ID] = true
		if y, ok := want[c.ID]; ok && (len(c.Series) != 1 || !slices.Equal(c.Series[0].Y, y)) {
			t.Errorf("chart %s has series %+v, want %v", c.ID, c.Series, y)
		}
		if c.ID == "tick" || c.ID == "nimg" || c.ID == "timestamp" || c.ID == "word" {
			t.Errorf("there is a chart of %s", c.ID)
		}
	}
	for id := range want {
		if !found[id] {
			t.Errorf("no chart %s", id)
		}
	}
	levels := d.Charts[slices.IndexFunc(d.Charts, func(c chart) bool { return c.ID == "validation-levels-0" })].Series
	if len(levels) != 2 || levels[0].Name != "σ 0.01–1" || !slices.Equal(levels[0].Y, []float64{0.4, 0.2}) || !slices.Equal(levels[1].Y, []float64{0.6}) || *levels[1].Level != 1 {
		t.Errorf("losses by noise level: %+v", levels)
	}
	if s := d.Runs[0].Seconds; !slices.Equal(s, []float64{30, 60, 90, 120, 150, 180}) {
		t.Errorf("time spent: %v", s)
	}
	if n := strings.Count(p, "<polyline "); n != strings.Count(p, `<figure class="chart"`)+1 || n < len(want) {
		t.Errorf("%d curves are drawn without scripts", n) // one chart has two
	}
	if n := strings.Count(p, "data:image/png;base64,"); n != 3 {
		t.Errorf("%d pictures, want 3", n)
	}
	for _, words := range []string{
		"6,000 of 6,000", "finished 2027-01-15", "60,000 pictures of 28×28 in 10 classes", "18446744073709551615", "1, 2, 2", "Training loss over images: mine from 1 to 0.1667.",
		"Grid drawn by mine after 4,000 images", "diffuse v1.2.3", "avx2", "kid 0.01 ± 0.002", "3.125", "0.1667", "Peak memory", `lang="en"`, "prefers-color-scheme: dark", "tick 6",
	} {
		if !strings.Contains(p, words) {
			t.Errorf("the page does not say %q", words)
		}
	}
}

// TestAlone: the page names no address but its own parts and the pictures inside it.
func TestAlone(t *testing.T) {
	p := page(t, read(t, fixture(t, "a"), fixture(t, "b")), 1<<20)
	p = strings.Replace(p, "http-equiv", "", 1)
	if i := strings.Index(strings.ToLower(p), "http"); i >= 0 {
		t.Errorf("an address: %.80q", p[i:])
	}
	for _, m := range regexp.MustCompile(`(?i)\b(src|srcset|href|action|data)=["']?([^"'> ]{0,30})`).FindAllStringSubmatch(p, -1) {
		if !strings.HasPrefix(m[2], "#") && !strings.HasPrefix(m[2], "data:image/png;base64,") {
			t.Errorf("loads %s", m[0])
		}
	}
	for _, m := range regexp.MustCompile(`@import|@font-face|url\([^#]|fetch\(|XMLHttp|import\(`).FindAllString(p, -1) {
		t.Errorf("holds %s", m)
	}
}

// TestHostile: whatever a run folder says, it is text. The browser runs only the script whose hash the page's policy holds.
func TestHostile(t *testing.T) {
	const attack = `</script><script>alert(1)</script>"><img src=x onerror=alert(1)>' -->{{.}}`
	quoted, _ := json.Marshal(attack)
	dir := fixture(t, "evil<img src=x onerror=alert(1)>\"'&")
	put(t, dir, "options.json", fmt.Sprintf(`{"options":{%s:%s,"duration":6000},%s:[%s]}`, quoted, quoted, quoted, quoted))
	put(t, dir, "stats.jsonl", fmt.Sprintf(`{"nimg":5,"loss":1,%s:2}`+"\n"+`{"nimg":6,"loss":1,%s:3}`+"\n"+`%s`+"\n", quoted, quoted, attack))
	put(t, dir, "metrics.jsonl", fmt.Sprintf(`{"nimg":5,"evaluation":{"reference":%s,"features":%s,"metrics":{%s:{"value":1}},"per_class":{%s:1}}}`+"\n", quoted, quoted, quoted, quoted))
	put(t, dir, "eval.jsonl", fmt.Sprintf(`{"samples":%s,"reference":%s,"metrics":{%s:{"value":1}}}`+"\n", quoted, quoted, quoted))
	put(t, dir, "sessions.jsonl", fmt.Sprintf(`{"version":%s,"go":%s,"system":%s,"kernels":%s}`+"\n", quoted, quoted, quoted, quoted))
	put(t, dir, "log.txt", attack+"\n\xff\xfe\x00\n  5  the run stopped: "+attack+"\n")
	r := read(t, dir, fixture(t, "good"))
	r.Runs[0].Model = &report.Model{File: attack, Facts: [][2]string{{attack, attack}}, Table: [][]string{{attack}, {attack}}}
	p := page(t, r, 1<<20)
	if strings.Contains(p, "<script>alert") || strings.Contains(p, "<img src=x") {
		t.Error("markup of the run folder is in the page")
	}
	if n := strings.Count(p, "<script"); n != 2 {
		t.Errorf("%d scripts, want 2: the data and our own", n)
	}
	if n := strings.Count(p, "<img "); n != 6 {
		t.Errorf("%d pictures, want 6", n)
	}
	sum := sha256.Sum256([]byte(between(t, p, "<script>", "</script>")))
	policy := html.UnescapeString(between(t, p, `Content-Security-Policy" content="`, `"`))
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "script-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy %s does not hold the script's hash", policy)
	}
	if d := embedded(t, p); !slices.ContainsFunc(d.Charts, func(c chart) bool { return c.Title == attack }) {
		t.Error("the strange series is not drawn")
	}
}

// TestLimit: pictures beyond the limit are left out evenly, with a word about it; first and last stay.
func TestLimit(t *testing.T) {
	dir := fixture(t, "run")
	r := read(t, dir)
	size := r.Runs[0].Pictures[0].Bytes
	for limit, want := range map[int64]string{3 * size: "2,000 4,000 6,000", 3*size - 1: "2,000 6,000", size: "6,000", size - 1: ""} {
		p := page(t, r, limit)
		var shown []string
		for _, m := range regexp.MustCompile(`alt="Grid drawn by run after ([\d,]+) images"`).FindAllStringSubmatch(p, -1) {
			shown = append(shown, m[1])
		}
		if got := strings.Join(shown, " "); got != want {
			t.Errorf("%d bytes: pictures after %s, want %s", limit, got, want)
		}
		if said := strings.Contains(p, "of 3 grids: more would make the page larger"); said != (limit < 3*size) {
			t.Errorf("%d bytes: says that pictures are left out: %v", limit, said)
		}
	}
}

// TestDamaged: a run that is being written, was killed or lost files is shown as far as it goes, with notes.
func TestDamaged(t *testing.T) {
	notes := func(dir string) string { return strings.Join(read(t, dir).Runs[0].Notes, "\n") }
	appendTo := func(dir, name, text string) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		put(t, dir, name, string(b)+text)
	}
	torn := fixture(t, "run")
	for _, name := range []string{"stats.jsonl", "metrics.jsonl", "validation.jsonl", "eval.jsonl", "sessions.jsonl"} {
		appendTo(torn, name, `{"tick":7,"nimg":7000,"los`)
	}
	if n := notes(torn); n != "" {
		t.Errorf("torn last lines are worth a note: %s", n)
	}
	if r := read(t, torn).Runs[0]; r.Images != 6000 {
		t.Errorf("%v images with a torn line, want 6000", r.Images)
	}
	garbage := fixture(t, "run")
	appendTo(garbage, "stats.jsonl", "garbage\n\n[1]\n"+`{"loss":3}`+"\n"+`{"nimg":7000,"loss":1e999,"lr":1e300}`+"\n")
	if n := notes(garbage); !strings.Contains(n, "stats.jsonl: 3 of 11 lines cannot be read and are left out (line 7: ") {
		t.Errorf("notes on garbage: %s", n)
	}
	for _, c := range embedded(t, page(t, read(t, garbage), 0)).Charts {
		if (c.ID == "loss" || c.ID == "lr") && len(c.Series[0].Y) != 6 {
			t.Errorf("%s is %v: numbers that are none were drawn", c.ID, c.Series[0].Y)
		}
	}
	rewound := fixture(t, "run")
	appendTo(rewound, "stats.jsonl", `{"nimg":2500,"loss":9}`+"\n")
	if c := embedded(t, page(t, read(t, rewound), 0)).Charts; !slices.Equal(c[0].Series[0].X, []float64{1000, 2000, 2500}) {
		t.Errorf("after a resume from 2000 images the curve has points at %v", c[0].Series[0].X)
	}
	bad := fixture(t, "run")
	put(t, bad, "options.json", `{"options":`+strings.Repeat("[", 1<<20))
	put(t, bad, "pictures-000000500.png", "not a picture")
	if n := notes(bad); !strings.Contains(n, "options.json is damaged") || !strings.Contains(n, "pictures-000000500.png is left out") {
		t.Errorf("notes: %s", n)
	}
	bare := t.TempDir()
	put(t, bare, "stats.jsonl", `{"nimg":5,"loss":1}`+"\n")
	if n := notes(bare); !strings.Contains(n, "options.json is missing") || !strings.Contains(n, "log.txt is missing") {
		t.Errorf("notes: %s", n)
	}
	young := t.TempDir()
	put(t, young, "options.json", `{}`)
	if p := page(t, read(t, young), 0); !strings.Contains(p, "stats.jsonl has no whole line yet") || !strings.Contains(p, "nothing heard of yet") {
		t.Error("the page of a run that has just begun does not say so")
	}
	embedded(t, page(t, read(t, young), 0))
}

// TestNoRun: what is no run is refused, and why is said.
func TestNoRun(t *testing.T) {
	empty := t.TempDir()
	file := filepath.Join(empty, "file")
	put(t, empty, "file", "")
	for _, path := range []string{empty, file} {
		if _, err := report.Read(path, now); !errors.Is(err, report.ErrNoRun) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", path, err)
		}
	}
	if _, err := report.Read(filepath.Join(empty, "none"), now); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// TestState: from the log and the clock, how a run is doing.
func TestState(t *testing.T) {
	for log, want := range map[string]string{
		"      5000  tick 5\n":                            "running",
		"      5000  interrupted\n":                       "interrupted",
		"      5000  the run stopped: disk full\n":        "failed",
		"      5000  interrupted\n      5000  resumed: 5": "running",
	} {
		dir := fixture(t, "run")
		put(t, dir, "log.txt", log)
		put(t, dir, "options.json", `{"options":{"duration":9000}}`)
		r, err := report.Read(dir, now)
		if err != nil || r.State.Word != want {
			t.Errorf("%q: %v (%v), want %s", log, r.State, err, want)
		}
		r, err = report.Read(dir, now.Add(time.Hour))
		if want == "running" {
			want = "silent"
		}
		if err != nil || r.State.Word != want {
			t.Errorf("%q an hour later: %v (%v), want %s", log, r.State, err, want)
		}
	}
}

// TestBeside: runs side by side have different names, share charts, and what differs is marked.
func TestBeside(t *testing.T) {
	one, two, three := fixture(t, "x/run"), fixture(t, "y/run"), fixture(t, "y/other")
	put(t, two, "options.json", `{"options":{"duration":6000,"lr":0.002,"new":1}}`)
	put(t, two, "metrics.jsonl", `{"nimg":3000,"evaluation":{"reference":"real","features":"fashion","pictures":5000,"metrics":{"fd-fashion":{"value":7.5}}}}`+"\n")
	r := read(t, one, two, three)
	if got := []string{r.Runs[0].Name, r.Runs[1].Name, r.Runs[2].Name}; !slices.Equal(got, []string{"x/run", "y/run", "y/other"}) {
		t.Errorf("names %q", got)
	}
	p := page(t, r, 1<<20)
	for _, c := range embedded(t, p).Charts {
		if c.ID == "loss" && len(c.Series) != 3 {
			t.Errorf("%d curves of the loss, want 3", len(c.Series))
		}
	}
	for _, words := range []string{`<tr class="differs"><th scope="row">lr</th><td>0.001</td><td>0.002</td><td>0.001</td>`, "cannot be compared throughout", "y/run: 5,000 pictures against real"} {
		if !strings.Contains(p, words) {
			t.Errorf("the page does not hold %q", words)
		}
	}
	if strings.Contains(page(t, read(t, one, three), 0), "cannot be compared") {
		t.Error("a warning about runs that were measured alike")
	}
}

// TestDistillation: a run of another kind is drawn from what it has, negative losses and all.
func TestDistillation(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "options.json", `{"kind":"distillation","options":{"duration":40,"alpha":1.2},"setup":{"teacher":"fashion-teacher"}}`)
	put(t, dir, "stats.jsonl", `{"tick":1,"nimg":20,"steps":2,"loss_fake":3,"loss_generator":-0.5,"grad_norm_fake":7,"grad_norm_generator":8,"lr_fake":1e-5,"lr_generator":2e-5,"dropped":0,"cleaned":0}`+"\n"+
		`{"tick":2,"nimg":40,"steps":4,"loss_fake":2,"loss_generator":-0.25,"grad_norm_fake":5,"grad_norm_generator":6,"lr_fake":1e-5,"lr_generator":2e-5,"dropped":1,"cleaned":0}`+"\n")
	p := page(t, read(t, dir), 0)
	titles := map[string]chart{}
	for _, c := range embedded(t, p).Charts {
		titles[c.Title] = c
	}
	for _, title := range []string{"Loss of the fake network", "Loss of the generator", "Gradient norm of the fake network", "Learning rate of the generator", "Pictures dropped, not finite"} {
		if _, ok := titles[title]; !ok {
			t.Errorf("no chart %q", title)
		}
	}
	if titles["Loss of the generator"].Log || !titles["Loss of the fake network"].Log {
		t.Error("a negative loss is on a logarithmic axis, or a positive one is not")
	}
	for _, words := range []string{"distillation", "fashion-teacher", "40 of 40"} {
		if !strings.Contains(p, words) {
			t.Errorf("the page does not say %q", words)
		}
	}
}

// TestLong: a long curve is thinned to what a screen can show, and keeps its ends and its outliers.
func TestLong(t *testing.T) {
	dir := fixture(t, "run")
	var b strings.Builder
	for i := 1; i <= 50_000; i++ {
		loss := 1 + math.Sin(float64(i))/10
		if i == 12_345 {
			loss = 77
		}
		fmt.Fprintf(&b, `{"nimg":%d,"loss":%g,"lr":1}`+"\n", i, loss)
	}
	put(t, dir, "stats.jsonl", b.String())
	p := page(t, read(t, dir), 0)
	for _, c := range embedded(t, p).Charts {
		if c.ID != "loss" {
			continue
		}
		s := c.Series[0]
		if n := len(s.X); n > 2000 || n < 1000 || s.X[0] != 1 || s.X[n-1] != 50_000 || !slices.IsSorted(s.X) || slices.Max(s.Y) != 77 {
			t.Errorf("%d points from %v to %v, largest %v", n, s.X[0], s.X[n-1], slices.Max(s.Y))
		}
	}
	if len(p) > 500_000 {
		t.Errorf("the page has %d bytes", len(p))
	}
}

// FuzzPage: no bytes in a run folder break the page or its data.
func FuzzPage(f *testing.F) {
	f.Add(`{"options":{"duration":1}}`, `{"nimg":1,"loss":1}`+"\n", `{"nimg":1,"evaluation":{"metrics":{"fd":{"value":1}}}}`+"\n", `{"images":1,"loss":1,"bins":[{"sigma_min":0,"sigma_max":1,"loss":0}]}`+"\n", "1  tick\n")
	f.Add(`[]`, `{"images":1e15,"loss":1e100}`+"\n"+`{"images":1e15,"loss":-1e100}`+"\n", "null\n", "{}\n", "")
	f.Add(`"x"`, `{"images":1,"loss":1e99}`+"\n"+`{"images":2,"loss":1.0000000000000002e99}`+"\n", "", "", "\xff")
	f.Fuzz(func(t *testing.T, options, stats, metrics, validation, log string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"options.json": options, "stats.jsonl": stats, "metrics.jsonl": metrics, "validation.jsonl": validation, "log.txt": log} {
			put(t, dir, name, text)
		}
		p := page(t, read(t, dir), 1<<20)
		embedded(t, p)
		if strings.Contains(p, "NaN") && !strings.Contains(options+stats+metrics+validation+log, "NaN") {
			t.Error("NaN in the page")
		}
	})
}
