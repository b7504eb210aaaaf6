package main

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"math"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"diffuse/schedule"
)

type scheduleOptions struct {
	grid gridOptions
	csv  bool
}

// A level is one row of a printed schedule. Numbers that JSON cannot hold (the infinite logSNR of no noise) are null.
type level struct {
	Step     int      `json:"step"`
	Sigma    float64  `json:"sigma"`
	Alpha    float64  `json:"alpha"`
	LogSNR   *float64 `json:"logsnr"`
	Timestep float64  `json:"timestep"`
}

type namedLevels struct {
	Name   string  `json:"name"`
	Levels []level `json:"levels"`
}

func scheduleCommand(u *ui) *cobra.Command {
	o := scheduleOptions{grid: defaultGrid()}
	c := &cobra.Command{
		Use:   "schedule [NAME...]",
		Short: "Print noise schedules",
		Long: `Print the noise levels that a schedule visits, noisy end first. Without a
name, list the schedules there are.

Columns: sigma is the noise level of x = y + sigma*n; alpha = 1/sqrt(1+sigma^2)
is the weight of the picture in the variance preserving form; logsnr =
-2 ln sigma; timestep is the place of sigma among the 1000 steps of the usual
linear-beta DDPM (999 = pure noise), as a real number.

Time in "cosine" schedules runs from t = 0, the clean end, to t = 1.`,
		Example: `  diffuse schedule karras
  diffuse schedule karras exponential --steps 8 --sigma-max 20 --csv
  diffuse schedule cosine:shift=64@256 --json`,
		ValidArgsFunction: completeWith(scheduleNames()),
		RunE:              func(_ *cobra.Command, args []string) error { return runSchedule(u, o, args) },
	}
	o.grid.bind(c.Flags())
	c.Flags().BoolVar(&o.csv, "csv", false, "comma-separated values with a header line")
	return c
}

func runSchedule(u *ui, o scheduleOptions, names []string) error {
	if len(names) == 0 {
		return listSchedules(u)
	}
	if o.csv && u.json {
		return usagef("--csv and --json contradict each other: give one of them")
	}
	var all []namedLevels
	for _, name := range names {
		g := o.grid
		g.schedule = name
		sigmas, err := g.sigmas(schedule.Precond{SigmaMax: math.Inf(1)})
		if err != nil {
			return err
		}
		all = append(all, namedLevels{name, tabulate(sigmas)})
	}
	switch {
	case u.json:
		return u.result(all)
	case o.csv:
		return writeScheduleCSV(u, all)
	}
	return writeScheduleTable(u, all)
}

// tabulate computes the other measures of noise for each level.
func tabulate(sigmas []float64) []level {
	vp := schedule.DefaultVP()
	levels := make([]level, len(sigmas))
	for i, s := range sigmas {
		levels[i] = level{Step: i, Sigma: s, Alpha: 1 / math.Sqrt(1+s*s)}
		if s > 0 {
			logsnr := -2 * math.Log(s)
			levels[i].LogSNR = &logsnr
			_, _, _, levels[i].Timestep = vp.Scaling(s)
		}
	}
	return levels
}

func listSchedules(u *ui) error {
	names := schedule.Names()
	if u.json {
		return u.result(names)
	}
	w := tabwriter.NewWriter(u.stdout, 0, 4, 2, ' ', 0)
	for _, n := range names {
		fmt.Fprintf(w, "%s\t%s\n", n[0], n[1])
	}
	return w.Flush()
}

func writeScheduleTable(u *ui, all []namedLevels) error {
	w := tabwriter.NewWriter(u.stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	for i, n := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "# %s\n", n.Name)
		fmt.Fprintln(w, "step\tsigma\talpha\tlogsnr\ttimestep\t")
		for _, l := range n.Levels {
			fmt.Fprintf(w, "%d\t%.6g\t%.6f\t%s\t%.3f\t\n", l.Step, l.Sigma, l.Alpha, formatLogSNR(l, 5), l.Timestep)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func writeScheduleCSV(u *ui, all []namedLevels) error {
	buffered := bufio.NewWriter(u.stdout)
	w := csv.NewWriter(buffered)
	w.Write([]string{"name", "step", "sigma", "alpha", "logsnr", "timestep"})
	exact := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for _, n := range all {
		for _, l := range n.Levels {
			w.Write([]string{n.Name, strconv.Itoa(l.Step), exact(l.Sigma), exact(l.Alpha), formatLogSNR(l, -1), exact(l.Timestep)})
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return buffered.Flush()
}

// formatLogSNR writes a logSNR with the given number of decimals (-1 = all digits), inf for no noise.
func formatLogSNR(l level, decimals int) string {
	if l.LogSNR == nil {
		return "inf"
	}
	if decimals < 0 {
		return strconv.FormatFloat(*l.LogSNR, 'g', -1, 64)
	}
	return strconv.FormatFloat(*l.LogSNR, 'f', decimals, 64)
}
