package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"diffuse/dataset"
	"diffuse/train"
)

// trainValidation says which pictures a run is validated on, if any.
type trainValidation struct {
	ValFraction float64 `json:"val_fraction,omitempty"` // part of the data set that is held out
	ValData     string  `json:"val_data,omitempty"`     // another data set
	ValSplit    string  `json:"val_split,omitempty"`    // its part
	ValNum      int     `json:"val_num,omitempty"`      // pictures; 0: defaultValidation
}

// defaultValidation is how many pictures are measured at a tick: with eight noise levels each, about as many forward passes as 700 images of training.
const defaultValidation = 256

// bind adds a flag for every field.
func (v *trainValidation) bind(f *pflag.FlagSet) {
	f.Float64Var(&v.ValFraction, "val-fraction", v.ValFraction, "hold this part of the pictures out, the same in every run, and measure the loss on them")
	f.StringVar(&v.ValData, "val-data", v.ValData, "`FOLDER` or file with other pictures to measure the loss on")
	f.StringVar(&v.ValSplit, "val-split", v.ValSplit, "part of --val-data, if it has parts: train or test (default train)")
	f.IntVar(&v.ValNum, "val-num", v.ValNum, fmt.Sprintf("held-out pictures to measure, evenly spread over all (0 = %d)", defaultValidation))
}

// check refuses what makes no sense, and makes the path absolute.
func (v *trainValidation) check() error {
	if v.ValFraction < 0 || v.ValFraction >= 1 || math.IsNaN(v.ValFraction) || v.ValNum < 0 {
		return usagef("--val-fraction %v, --val-num %d: want a part less than 1, and 0 or more pictures", v.ValFraction, v.ValNum)
	}
	switch {
	case v.ValFraction > 0 && v.ValData != "":
		return usagef("--val-fraction and --val-data contradict each other: give one of them")
	case v.ValSplit != "" && v.ValData == "":
		return usagef("--val-split has no effect without --val-data")
	case v.ValNum > 0 && v.ValData == "" && v.ValFraction == 0:
		return usagef("--val-num has no effect without --val-fraction or --val-data")
	case v.ValData != "":
		var err error
		v.ValData, err = filepath.Abs(v.ValData)
		return err
	}
	return nil
}

// validation is train.Job's, nil without held-out pictures.
func (v *trainValidation) validation(held dataset.Dataset) *train.Validation {
	if held == nil {
		return nil
	}
	n := v.ValNum
	if n == 0 {
		n = defaultValidation
	}
	return &train.Validation{Data: held, Pictures: n}
}

// openSets opens the pictures to train on and those to validate on, nil for none.
func openSets(u *ui, s *trainSettings) (data, held dataset.Dataset, err error) {
	if data, err = openData(u, s, "data", s.Data, s.Split); err != nil {
		return nil, nil, err
	}
	switch {
	case s.ValData != "":
		held, err = openData(u, s, "val-data", s.ValData, s.ValSplit)
	case s.ValFraction > 0:
		data, held, err = holdOut(data, s.ValFraction)
	}
	return data, held, err
}

// holdOutSeed shuffles the pictures of which the first are held out: no run's seed, so that runs with different ones hold out the same.
const holdOutSeed = 0x76616c6964617465

// holdOut splits a data set in two, each in the order of before.
func holdOut(d dataset.Dataset, fraction float64) (rest, held dataset.Dataset, err error) {
	n := max(1, int(math.Round(fraction*float64(d.Len()))))
	if n >= d.Len() {
		return nil, nil, usagef("--val-fraction %v leaves no pictures to train on: the data set has %d", fraction, d.Len())
	}
	order := dataset.Permutation(holdOutSeed, 0, d.Len())
	slices.Sort(order[:n])
	slices.Sort(order[n:])
	return subset{d, order[n:]}, subset{d, order[:n]}, nil
}

// A subset is some of the pictures of a data set.
type subset struct {
	dataset.Dataset
	index []int
}

func (s subset) Len() int { return len(s.index) }

func (s subset) Get(i int, dst []uint8) (int, error) { return s.Dataset.Get(s.index[i], dst) }
