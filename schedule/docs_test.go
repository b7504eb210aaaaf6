package schedule_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"diffuse/schedule"
)

// docs/schedules.md has a row for every schedule, the options of each, and other names that stand for it.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../docs/schedules.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	rows := map[string][]string{}
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "/"), "|")
		if len(cells) == 7 && strings.HasPrefix(line, "| `") { // before the first bar, five cells, behind the last
			rows[strings.Trim(cells[1], " `")] = cells[1:6]
		}
	}
	ticked := regexp.MustCompile("`([^`]+)`")
	for _, n := range schedule.Names() {
		row := rows[n[0]]
		if row == nil {
			t.Errorf("no row for %s", n[0])
			continue
		}
		for _, m := range ticked.FindAllStringSubmatch(row[1], -1) {
			if s, err := schedule.Lookup(m[1]); err != nil || s.Name != n[0] {
				t.Errorf("the page says that %s is %s; it is %q, error %v", m[1], n[0], s.Name, err)
			}
		}
		for _, option := range strings.Split(schedule.Options(n[0]), ", ") {
			key, values, _ := strings.Cut(option, "=")
			where := row[2] + row[3]
			if strings.Contains(row[3], "of tables") {
				where = page
			}
			if key != "" && !strings.Contains(where, "`"+key+"`") && !strings.Contains(where, "`"+key+"=") {
				t.Errorf("%s: no word about option %s", n[0], key)
			}
			for _, value := range strings.Split(values, "|") {
				if strings.Contains(values, "|") && value != strings.ToUpper(value) && !strings.Contains(page, value) {
					t.Errorf("%s: no word about %s=%s", n[0], key, value)
				}
			}
		}
		delete(rows, n[0])
	}
	for name := range rows {
		t.Errorf("the page has a schedule %s that there is not", name)
	}
}
