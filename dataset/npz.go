package dataset

import (
	"fmt"
	"math"

	"diffuse/checkpoint"
)

// openNPZ reads the pictures of an npz archive: arr_0, N×H×W×C bytes, and arr_1, N class numbers, if there is one (the sample
// files of OpenAI's guided-diffusion, and what "diffuse sample --npz" writes). Class -1 stands for none; a set with such
// pictures counts as unlabelled.
func openNPZ(path string, o Options) (Dataset, error) {
	f, err := checkpoint.OpenNPZ(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	arr, err := f.Tensor("arr_0")
	if err != nil {
		return nil, fmt.Errorf("no pictures: %w", err)
	}
	s := arr.Shape
	if len(s) != 4 || arr.DType != checkpoint.U8 || s[0] < 1 || s[1] < 1 || s[2] < 1 || s[3] != 1 && s[3] != 3 {
		return nil, fmt.Errorf("arr_0 is %s of shape %v; pictures are U8, N×H×W×1 or N×H×W×3", arr.DType, s)
	}
	m := &memory{info: info{n: s[0], h: s[1], w: s[2], c: s[3]}}
	if !m.fits(math.MaxInt64) {
		return nil, fmt.Errorf("arr_0 of shape %v is too large", s)
	}
	if m.pix, err = arr.Uint8(); err != nil {
		return nil, fmt.Errorf("arr_0: %w", err)
	}
	if labels, ok := f.Tensors["arr_1"]; ok {
		if err := m.label(path, labels); err != nil {
			return nil, fmt.Errorf("arr_1: %w", err)
		}
	}
	return rescale(m, m.info, o)
}

// label takes the classes of the pictures from an array.
func (m *memory) label(path string, t *checkpoint.Tensor) error {
	if len(t.Shape) != 1 || t.Shape[0] != m.n {
		return fmt.Errorf("shape %v for %d pictures", t.Shape, m.n)
	}
	labels, err := t.Int64()
	if err != nil {
		return err
	}
	const most = 1 << 20
	classes, unlabelled := int64(0), false
	for i, k := range labels {
		if k < -1 || k >= most {
			return fmt.Errorf("element %d is class %d", i, k)
		}
		unlabelled = unlabelled || k == -1
		classes = max(classes, k+1)
	}
	if unlabelled {
		return nil
	}
	for _, k := range labels {
		m.labels = append(m.labels, int(k))
	}
	m.names = classNames(path, int(classes), m.h, m.w)
	return nil
}
