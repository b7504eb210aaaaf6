package main

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/schedule"
)

type scheduleOptions struct {
	grid        gridOptions
	csv         bool
	training    bool  // names are distributions of training
	resolutions []int // falling; the first is that of the picture
	plot        string
}

// A level is one row of a printed schedule. Numbers that JSON cannot hold (the infinite logSNR of no noise) are null.
type level struct {
	Step     int        `json:"step"`
	Sigma    float64    `json:"sigma"`
	Alpha    float64    `json:"alpha"`
	LogSNR   *float64   `json:"logsnr"`
	Timestep float64    `json:"timestep"`
	Pooled   []logSNRAt `json:"pooled,omitempty"`
}

// logSNRAt is the logSNR of a picture after average pooling to a smaller size.
type logSNRAt struct {
	Size   int      `json:"size"`
	LogSNR *float64 `json:"logsnr"`
}

type namedLevels struct {
	Name   string  `json:"name"`
	Levels []level `json:"levels"`
}

func scheduleCommand(u *ui) *cobra.Command {
	o := scheduleOptions{grid: defaultGrid()}
	c := &cobra.Command{
		Use:   "schedule [NAME...]",
		Short: "Print and plot noise schedules",
		Long: `Print the noise levels that a schedule visits, noisy end first, or draw them
with --plot. Without a name, list the schedules there are; a name may have
options behind a colon, NAME:KEY=VALUE,FLAG. docs/schedules.md has the formulas.

Columns: sigma is the noise level of x = y + sigma*n; alpha = 1/sqrt(1+sigma^2)
is the weight of the picture in the variance preserving form; logsnr =
-2 ln sigma; timestep is the place of sigma in the schedule's table or, for
schedules without one, among the 1000 steps of the usual linear-beta DDPM
(999 = pure noise), as a real number.

With --resolutions 256,64 a picture has 256 pixels a side, and a column tells
what is left of the noise after average pooling to 64: pooling by s raises the
SNR by s^2, so that logsnr grows by 2 ln s. The plot has a dashed line for it.

With --training the names are those of train --noise, and the rows are the noise
levels of --steps equal shares of the images that are shown, for sigma-data 0.5.

Where --resolutions tells the picture's size, a schedule may be shifted to it
without naming it, as in cosine:shift=64.

Time in "cosine" schedules runs from t = 0, the clean end, to t = 1.`,
		Example: `  diffuse schedule karras
  diffuse schedule karras exponential --steps 8 --sigma-max 20 --csv
  diffuse schedule cosine cosine:shift=64@256 --resolutions 256,64 --plot noise.svg
  diffuse schedule --training lognormal cosine:shift=64@256 --steps 10
  diffuse schedule linear:spacing=leading,like=euler --steps 10 --json
  diffuse schedule squaredcos --timesteps 999,500,100`,
		ValidArgsFunction: completeWith(scheduleNames()),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(c.Flags(), u, args); err != nil {
				return err
			}
			return runSchedule(u, o, args)
		},
	}
	f := c.Flags()
	o.grid.bind(f)
	o.grid.bindLists(f)
	f.BoolVar(&o.csv, "csv", false, "comma-separated values with a header line")
	f.BoolVar(&o.training, "training", false, "names are distributions of noise levels in training; print their quantiles")
	f.IntSliceVar(&o.resolutions, "resolutions", nil, "`SIZES` such as 256,128,64: the picture's and those it is pooled to, for the noise left there")
	f.StringVar(&o.plot, "plot", "", "`FILE` (.svg or .png) for a drawing in place of the numbers")
	return c
}

// check refuses what cannot be meant.
func (o *scheduleOptions) check(f *pflag.FlagSet, u *ui, names []string) error {
	o.grid.minGiven, o.grid.maxGiven = f.Changed("sigma-min"), f.Changed("sigma-max")
	if err := o.grid.contradictions(f); err != nil {
		return err
	}
	if err := o.checkTraining(f, names); err != nil {
		return err
	}
	for _, name := range []string{"sigmas", "timesteps", "plot"} {
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			return usagef("--%s is empty", name)
		}
	}
	switch {
	case o.csv && u.json:
		return usagef("--csv and --json contradict each other: give one of them")
	case o.plot != "" && (o.csv || u.json):
		return usagef("--plot draws in place of printing: leave out --csv and --json")
	case o.grid.list != "" && len(names) > 0:
		return usagef("--sigmas takes the place of a schedule: leave out %s", strings.Join(names, " "))
	case len(names) == 0 && o.grid.list == "" && f.NFlag() > 0 && (f.Changed("timesteps") || f.Changed("plot") || f.Changed("csv")):
		return withHint(usagef("no schedule is named"), "diffuse schedule lists them")
	}
	if f.Changed("resolutions") {
		slices.Sort(o.resolutions)
		slices.Reverse(o.resolutions)
		if unique := slices.Compact(slices.Clone(o.resolutions)); len(unique) < 2 || len(unique) < len(o.resolutions) || unique[len(unique)-1] < 1 {
			return usagef("--resolutions wants at least two different sizes in pixels, such as 256,64: the picture's and what it is pooled to")
		}
		o.grid.size = float64(o.resolutions[0])
	}
	if o.plot == "" {
		return nil
	}
	if err := checkPlot("plot", o.plot); err != nil {
		return err
	}
	return checkOutput("plot", o.plot)
}

func runSchedule(u *ui, o scheduleOptions, names []string) error {
	if o.grid.list != "" {
		names = []string{"--sigmas"}
	}
	if len(names) == 0 {
		return listSchedules(u)
	}
	var all []namedLevels
	for _, name := range names {
		sigmas, timesteps, err := o.levels(name)
		if err != nil {
			return err
		}
		all = append(all, namedLevels{name, tabulate(sigmas, timesteps, o.resolutions)})
	}
	switch {
	case o.plot != "":
		if err := plotSchedules(o.plot, all); err != nil {
			return err
		}
		u.summary("%s: noise levels of %s", o.plot, strings.Join(names, ", "))
		return nil
	case u.json:
		return u.result(all)
	case o.csv:
		return writeScheduleCSV(u, all)
	}
	return writeScheduleTable(u, all)
}

// levels returns the noise levels behind a name, and their timesteps if it has any.
func (o *scheduleOptions) levels(name string) (sigmas, timesteps []float64, err error) {
	g := o.grid
	g.schedule = name
	if o.training {
		sigmas, err = o.trainingLevels(name)
		return sigmas, nil, err
	}
	return g.levels(schedule.Precond{SigmaMax: math.Inf(1)})
}

// tabulate computes the other measures of noise for each level. Without timesteps they are those of the usual DDPM.
func tabulate(sigmas, timesteps []float64, resolutions []int) []level {
	vp := schedule.DefaultVP()
	levels := make([]level, len(sigmas))
	for i, s := range sigmas {
		l := level{Step: i, Sigma: s, Alpha: 1 / math.Sqrt(1+s*s), LogSNR: logSNR(s)}
		switch {
		case i < len(timesteps):
			l.Timestep = timesteps[i]
		case s > 0 && timesteps == nil:
			_, _, _, l.Timestep = vp.Scaling(s)
		}
		for _, r := range resolutions[min(1, len(resolutions)):] {
			l.Pooled = append(l.Pooled, logSNRAt{r, logSNR(s * float64(r) / float64(resolutions[0]))})
		}
		levels[i] = l
	}
	return levels
}

// logSNR returns -2 ln sigma, nil for no noise.
func logSNR(sigma float64) *float64 {
	if sigma == 0 {
		return nil
	}
	v := -2 * math.Log(sigma)
	return &v
}

func listSchedules(u *ui) error {
	names := schedule.Names()
	if u.json {
		type listed struct {
			Name    string `json:"name"`
			About   string `json:"about"`
			Options string `json:"options,omitempty"`
		}
		var all []listed
		for _, n := range names {
			all = append(all, listed{n[0], n[1], schedule.Options(n[0])})
		}
		return u.result(all)
	}
	w := tabwriter.NewWriter(u.stdout, 0, 4, 2, ' ', 0)
	for _, n := range names {
		fmt.Fprintf(w, "%s\t%s\n", n[0], n[1])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	u.summary("\nOptions, as in NAME:KEY=VALUE,FLAG:")
	for i, n := range names {
		options := schedule.Options(n[0])
		same := []string{} // schedules with the same options share a line, that of the first
		for j, other := range names {
			if schedule.Options(other[0]) != options {
				continue
			}
			if j < i {
				break
			}
			same = append(same, other[0])
		}
		if options != "" && len(same) > 0 {
			u.summary("%s: %s", strings.Join(same, ", "), options)
		}
	}
	return nil
}

func writeScheduleTable(u *ui, all []namedLevels) error {
	w := tabwriter.NewWriter(u.stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	for i, n := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "# %s\n", n.Name)
		fmt.Fprint(w, "step\tsigma\talpha\tlogsnr\ttimestep\t")
		for _, p := range n.Levels[0].Pooled {
			fmt.Fprintf(w, "logsnr@%d\t", p.Size)
		}
		fmt.Fprintln(w)
		for _, l := range n.Levels {
			fmt.Fprintf(w, "%d\t%.6g\t%.6f\t%s\t%.3f\t", l.Step, l.Sigma, l.Alpha, formatLogSNR(l.LogSNR, 5), l.Timestep)
			for _, p := range l.Pooled {
				fmt.Fprintf(w, "%s\t", formatLogSNR(p.LogSNR, 5))
			}
			fmt.Fprintln(w)
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
	header := []string{"name", "step", "sigma", "alpha", "logsnr", "timestep"}
	for _, p := range all[0].Levels[0].Pooled {
		header = append(header, fmt.Sprintf("logsnr_%d", p.Size))
	}
	w.Write(header)
	exact := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for _, n := range all {
		for _, l := range n.Levels {
			row := []string{n.Name, strconv.Itoa(l.Step), exact(l.Sigma), exact(l.Alpha), formatLogSNR(l.LogSNR, -1), exact(l.Timestep)}
			for _, p := range l.Pooled {
				row = append(row, formatLogSNR(p.LogSNR, -1))
			}
			w.Write(row)
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return buffered.Flush()
}

// formatLogSNR writes a logSNR with the given number of decimals (-1 = all digits), inf for no noise.
func formatLogSNR(v *float64, decimals int) string {
	if v == nil {
		return "inf"
	}
	if decimals < 0 {
		return strconv.FormatFloat(*v, 'g', -1, 64)
	}
	return strconv.FormatFloat(*v, 'f', decimals, 64)
}
