package main

import (
	"context"
	"fmt"

	"diffuse/imageio"
	"diffuse/metric"
)

// A featureSet is what the feature network saw in a set of pictures.
type featureSet struct {
	metric.Features // rows may have been let go: then N is still the number of pictures
	gaussian        metric.Gaussian
	labels          []int // -1 for none
	guesses         []int // of a classifier, nil for other extractors
	pixels          []uint8
}

// kept is what of a set's features is kept: without rows and pixels, memory does not grow with the number of pictures.
type kept struct{ rows, gaussian, pixels bool }

// extract computes the features of a set.
func extract(ctx context.Context, u *ui, set pictureSet, e *extractor, keep kept) (*featureSet, error) {
	s := &featureSet{Features: metric.Features{D: e.Dim()}}
	if keep.rows {
		s.X = make([]float64, 0, set.Len()*s.D)
	}
	if h, w, c := set.Size(); keep.pixels {
		s.pixels = make([]uint8, 0, set.Len()*h*w*c)
	}
	sum := metric.NewAccumulator(s.D)
	classifier, classifies := e.Extractor.(*metric.Classifier)
	err := set.Each(ctx, u, e.batch, func(pictures []imageio.Image, labels []int) error {
		rows := metric.Features{N: len(pictures), D: s.D, X: make([]float64, len(pictures)*s.D)}
		if classifies {
			guesses, err := classifier.Classify(rows.X, pictures)
			if err != nil {
				return err
			}
			s.guesses = append(s.guesses, guesses...)
		} else if err := e.Features(rows.X, pictures); err != nil {
			return err
		}
		if err := rows.Check(); err != nil {
			return fmt.Errorf("%s features of the pictures from number %d on: %w", e.Name(), s.N, err)
		}
		s.N, s.labels = s.N+rows.N, append(s.labels, labels...)
		if keep.rows {
			s.X = append(s.X, rows.X...)
		}
		for _, p := range pictures {
			if keep.pixels {
				s.pixels = append(s.pixels, p.Pix...)
			}
		}
		if keep.gaussian {
			return sum.Add(rows)
		}
		return nil
	})
	if err == nil && keep.gaussian {
		s.gaussian, err = sum.Gaussian()
	}
	return s, err
}

// covers tells whether k has all that need asks for.
func (k kept) covers(need kept) bool {
	return (k.rows || !need.rows) && (k.gaussian || !need.gaussian) && (k.pixels || !need.pixels)
}
