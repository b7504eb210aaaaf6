package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"diffuse/checkpoint"
	"diffuse/imageio"
	"diffuse/metric"
)

// Features of a data set are kept between runs in a file of one of two places: the folder .diffuse beside the data, or, where that cannot be
// written to, the user's cache folder. The file is named after the data set's path and the features; whether it still holds is
// decided by what it says of itself: the hash of all pictures and classes, the feature network, its weights, the resize, and a hash of its
// own numbers. mu, sigma and the provenance are those of a statistics file, so that it may serve as one.

// cacheFormat changes whenever the same network would see something else in the same pictures.
const cacheFormat = "diffuse features 1"

// A contentHash is the SHA-256 of a data set's pictures and classes as they come: their size, then the pixels and the class of each.
type contentHash struct{ hash.Hash }

func newContentHash(set pictureSet) contentHash {
	h, w, c := set.Size()
	s := contentHash{sha256.New()}
	fmt.Fprintf(s, "%d×%d×%d, %d classes\n", h, w, c, len(set.ClassNames()))
	return s
}

func (h contentHash) add(pictures []imageio.Image, labels []int) {
	for i, p := range pictures {
		h.Write(p.Pix)
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(labels[i])))
	}
}

func (h contentHash) String() string { return fmt.Sprintf("%x", h.Sum(nil)) }

// A hashedSet hashes its pictures as they go by.
type hashedSet struct {
	*storedSet
	hash contentHash
}

func (s hashedSet) Each(ctx context.Context, u *ui, size int, f func([]imageio.Image, []int) error) error {
	return s.storedSet.Each(ctx, u, size, func(pictures []imageio.Image, labels []int) error {
		s.hash.add(pictures, labels)
		return f(pictures, labels)
	})
}

// content is the hash of all pictures.
func (s *storedSet) content(ctx context.Context, u *ui) (string, error) {
	h := newContentHash(s)
	err := s.each(ctx, u, "checking", smallBatch, func(pictures []imageio.Image, labels []int) error {
		h.add(pictures, labels)
		return nil
	})
	return h.String(), err
}

// extractCached is extract with a memory. A file that is there but no good is named, and replaced.
func extractCached(ctx context.Context, u *ui, set *storedSet, e *extractor, need kept) (*featureSet, error) {
	if need.pixels || set.pick != nil {
		return extract(ctx, u, set, e, need)
	}
	places, content, wrong := cachePlaces(set, e), "", error(nil)
	for _, path := range places {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		s, of, err := readCache(path, e, set.Len(), need)
		if errors.Is(err, errCachedLess) {
			continue
		}
		if err == nil && content == "" {
			if content, err = set.content(ctx, u); err != nil {
				return nil, err
			}
		}
		if err == nil && of == content {
			return s, nil
		}
		if err == nil {
			err = errCachedOther
		}
		wrong = fmt.Errorf("%s: %w", path, err)
	}
	if wrong != nil {
		u.note("%v; measuring %s again", wrong, set.path)
	}
	h := newContentHash(set)
	need.gaussian = true // it is small, and serves the next one
	s, err := extract(ctx, u, hashedSet{set, h}, e, need)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, path := range places {
		size, err := writeCache(path, s, e.provenance(set.Describe()), h.String())
		if err == nil {
			u.note("%s keeps these features (%.1f MB); --no-cache does without", path, float64(size)/1e6)
			return s, nil
		}
		failed = err
	}
	u.note("the features of %s are not kept: %v", set.path, failed)
	return s, nil
}

// cachePlaces are the files that may keep the features of a set, the preferred one first.
func cachePlaces(set *storedSet, e *extractor) (places []string) {
	path, err := filepath.Abs(set.path)
	if err != nil {
		return nil
	}
	h, w, c := set.Size()
	id := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%d×%d×%d|%d|%s", path, set.split, h, w, c, set.Labels(), e.Name()))
	name := fmt.Sprintf("%s.%s.%x.safetensors", filepath.Base(path), strings.ReplaceAll(e.Name(), "/", "-"), id[:6])
	places = append(places, filepath.Join(filepath.Dir(path), ".diffuse", name))
	if dir, err := os.UserCacheDir(); err == nil {
		places = append(places, filepath.Join(dir, "diffuse", "features", name))
	}
	return places
}

// errCachedLess says that a file is good but lacks the rows of single pictures, errCachedOther that it is of other pictures.
var errCachedLess, errCachedOther = errors.New("no rows of single pictures"), errors.New("its features are of other pictures")

// readCache reads what is needed of the n pictures' features, and the hash of the pictures. Errors say what is wrong with the file.
func readCache(path string, e *extractor, n int, need kept) (s *featureSet, content string, err error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		return nil, "", errors.New("it is damaged (header)")
	}
	defer f.Close()
	want := e.provenance("")
	if f.Meta["format"] != cacheFormat || f.Meta["extractor"] != want.Extractor || f.Meta["extractor_sha256"] != want.ExtractorHash || f.Meta["resize"] != want.Resize {
		return nil, "", errors.New("its features are of another network")
	}
	if f.Meta["pictures"] != strconv.Itoa(n) {
		return nil, "", errCachedOther
	}
	s = &featureSet{Features: metric.Features{N: n, D: e.Dim()}}
	s.gaussian.N = n
	var numbers [][]float64
	for _, x := range []struct {
		name string
		len  int
		dst  *[]float64
	}{{"mu", s.D, &s.gaussian.Mean}, {"sigma", s.D * s.D, &s.gaussian.Cov}, {"features", n * s.D, &s.X}} {
		t := f.Tensors[x.name]
		if t == nil && x.name == "features" {
			if need.rows {
				return nil, "", errCachedLess
			}
			continue
		}
		if t == nil || t.Len() != x.len {
			return nil, "", fmt.Errorf("it is damaged (%s)", x.name)
		}
		if *x.dst, err = t.Float64(); err != nil {
			return nil, "", err
		}
		numbers = append(numbers, *x.dst)
	}
	labels, err := f.Tensor("labels")
	if err != nil {
		return nil, "", errors.New("it is damaged (labels)")
	}
	wide, err := labels.Int64()
	if err != nil || len(wide) != n {
		return nil, "", errors.New("it is damaged (labels)")
	}
	if checksum(wide, numbers...) != f.Meta["sha256"] {
		return nil, "", errors.New("it is damaged (checksum)")
	}
	for _, v := range wide {
		s.labels = append(s.labels, int(v))
	}
	return s, f.Meta["content_sha256"], nil
}

// writeCache stores a set's features and returns the size of the file.
func writeCache(path string, s *featureSet, p metric.Provenance, content string) (int64, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return 0, err
	}
	labels := make([]int64, len(s.labels))
	for i, v := range s.labels {
		labels[i] = int64(v)
	}
	numbers := [][]float64{s.gaussian.Mean, s.gaussian.Cov}
	f := &checkpoint.File{Tensors: map[string]*checkpoint.Tensor{
		"mu":     checkpoint.Float64([]int{s.D}, s.gaussian.Mean),
		"sigma":  checkpoint.Float64([]int{s.D, s.D}, s.gaussian.Cov),
		"labels": checkpoint.Int64([]int{s.N}, labels),
	}}
	if s.X != nil {
		numbers = append(numbers, s.X)
		f.Tensors["features"] = exactly([]int{s.N, s.D}, s.X)
	}
	f.Meta = map[string]string{
		"format": cacheFormat, "data": p.Data, "pictures": strconv.Itoa(s.N), "content_sha256": content, "sha256": checksum(labels, numbers...),
		"extractor": p.Extractor, "extractor_sha256": p.ExtractorHash, "resize": p.Resize,
	}
	if err := checkpoint.WriteFile(path, f); err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// exactly makes a tensor of float32 if that loses nothing, as with the output of a network, else of float64.
func exactly(shape []int, x []float64) *checkpoint.Tensor {
	narrow := make([]float32, len(x))
	for i, v := range x {
		narrow[i] = float32(v)
		if float64(narrow[i]) != v {
			return checkpoint.Float64(shape, x)
		}
	}
	return checkpoint.Float32(shape, narrow)
}

// checksum is the SHA-256 of numbers, so that a file which decodes but is not what was written is noticed.
func checksum(labels []int64, numbers ...[]float64) string {
	h, buf := sha256.New(), make([]byte, 0, 1<<16)
	add := func(v uint64) {
		if buf = binary.LittleEndian.AppendUint64(buf, v); len(buf) == cap(buf) {
			h.Write(buf)
			buf = buf[:0]
		}
	}
	for _, v := range labels {
		add(uint64(v))
	}
	for _, x := range numbers {
		for _, v := range x {
			add(math.Float64bits(v))
		}
	}
	h.Write(buf)
	return fmt.Sprintf("%x", h.Sum(nil))
}
