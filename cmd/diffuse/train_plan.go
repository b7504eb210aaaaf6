package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"diffuse/unet"
)

// showPlan prints the settings of a run and a table of its network, level by level: what --dry-run shows.
func showPlan(u *ui, s *trainSettings) error {
	n, err := unet.Outline(s.Network)
	if err != nil {
		return err
	}
	cost := networkCost(n, s.height, s.width)
	if u.json {
		return u.result(struct {
			*trainSettings
			Cost modelCost `json:"cost"`
		}{s, cost})
	}
	b, err := json.Marshal(s)
	if err != nil { // plain data
		panic(err)
	}
	w := tabwriter.NewWriter(u.stdout, 0, 4, 2, ' ', 0)
	settingLines(b, func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) })
	fmt.Fprintln(w)
	for _, row := range costTable(cost) {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// settingLines calls line for every field of a JSON object in the order in which it is written; fields of objects inside it come
// with the names of those before theirs, as in "network.dropout".
func settingLines(object []byte, line func(name, value string)) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.Token() // {
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil { // it was just encoded
			panic(err)
		}
		name, text := key.(string), ""
		switch {
		case value[0] == '{':
			settingLines(value, func(inner, v string) { line(name+"."+inner, v) })
		case json.Unmarshal(value, &text) == nil:
			line(name, text)
		default:
			line(name, string(value))
		}
	}
}

// costTable is a network by level, with a line for the sum.
func costTable(c modelCost) [][]string {
	rows := [][]string{{"level", "channels", "blocks", "parameters", "share", "GFLOP", "share", "training MB", "logSNR"}}
	for _, l := range c.Levels {
		row := []string{l.Level, "", "", strconv.Itoa(l.Parameters), percent(float64(l.Parameters), float64(c.Parameters)),
			fmt.Sprintf("%.4f", l.GFLOP), percent(l.GFLOP, c.GFLOP), fmt.Sprintf("%.2f", float64(l.TrainBytes)/1e6), ""}
		if l.Channels > 0 {
			row[1], row[2], row[8] = strconv.Itoa(l.Channels), blockCount(l), fmt.Sprintf("%+.2f", l.Shift)
		}
		rows = append(rows, row)
	}
	return append(rows, []string{"all", "", "", strconv.Itoa(c.Parameters), "", fmt.Sprintf("%.4f", c.GFLOP), "", fmt.Sprintf("%.2f", float64(c.TrainBytes)/1e6), ""})
}

// blockCount names the blocks of a level: encoder+decoder, and those in the middle.
func blockCount(l levelCost) string {
	switch both := fmt.Sprintf("%d+%d", l.Encoder, l.Decoder); {
	case l.Middle == 0:
		return both
	case l.Encoder+l.Decoder == 0:
		return fmt.Sprintf("%d middle", l.Middle)
	default:
		return fmt.Sprintf("%s, %d middle", both, l.Middle)
	}
}
