package checkpoint

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Limits of an index of shards.
const (
	maxIndex  = 16 << 20 // bytes; the largest models have 9 MB
	maxShards = 1000
)

// OpenWeightFolder opens the weights called stem in a folder as diffusers saves them: STEM.safetensors or STEM.bin (a PyTorch file), each
// whole or in shards that STEM.safetensors.index.json names, or a variant of other precision such as STEM.fp16.safetensors. Where there are
// several, safetensors go before .bin and full precision before variants. A missing folder or one without such files is an error
// that wraps fs.ErrNotExist. The file must be closed after the last use of its tensors.
//
// An index may name files of the folder only; every tensor must be in the shard that the index says, and there alone.
func OpenWeightFolder(dir, stem string) (*File, error) {
	path, err := BestWeights(dir, stem)
	if err != nil {
		return nil, err
	}
	return OpenShards(path)
}

// BestWeights returns the path of the file that [OpenWeightFolder] reads, which may be an index of shards.
func BestWeights(dir, stem string) (string, error) {
	names, err := weightFiles(dir, stem)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, names[0]), nil
}

// IsWeights says whether a file's name is one that [OpenWeightFolder] may choose.
func IsWeights(name, stem string) bool {
	rest, ok := strings.CutPrefix(name, stem+".")
	return ok && weightRank(rest) >= 0
}

// OpenShards opens a file of weights, or all shards of an index, told apart by its ending .json, as one.
func OpenShards(path string) (*File, error) {
	if strings.HasSuffix(path, ".json") {
		return openShards(filepath.Dir(path), path)
	}
	return OpenWeights(path)
}

// WeightFiles lists the files that [OpenShards] reads: path itself and, if it is an index, the shards by name.
func WeightFiles(path string) ([]string, error) {
	paths := []string{path}
	if !strings.HasSuffix(path, ".json") {
		return paths, nil
	}
	where, err := readIndex(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	for _, name := range slices.Compact(slices.Sorted(maps.Values(where))) {
		paths = append(paths, filepath.Join(filepath.Dir(path), name))
	}
	return paths, nil
}

// weightFiles lists what OpenWeightFolder may open, best first.
func weightFiles(dir, stem string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && IsWeights(e.Name(), stem) {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("folder %s has no %s.safetensors or %s.bin: %w", dir, stem, stem, fs.ErrNotExist)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(weightRank(a[len(stem)+1:]), weightRank(b[len(stem)+1:])), cmp.Compare(a, b))
	})
	return names, nil
}

// weightRank orders the endings of names, -1 for those of other files. Variants stand in the middle: fp16.safetensors,
// safetensors.index.fp16.json.
func weightRank(ending string) int {
	parts := strings.Split(ending, ".")
	bin := slices.Contains(parts, "bin")
	index := len(parts) > 2 && parts[len(parts)-1] == "json" && slices.Contains(parts, "index")
	last := parts[len(parts)-1]
	plain := 1
	if index {
		plain = 3
	}
	if !index && last != "safetensors" && last != "bin" || index && !bin && parts[0] != "safetensors" || len(parts) > plain+1 {
		return -1
	}
	rank := 0
	if len(parts) > plain {
		rank += 4
	}
	if bin {
		rank += 2
	}
	if index {
		rank++
	}
	return rank
}

// openShards opens all files that an index names and lists their tensors as one file's.
func openShards(dir, path string) (*File, error) {
	where, err := readIndex(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	var shards []*File
	closeAll := func() error {
		var errs []error
		for _, s := range shards {
			errs = append(errs, s.Close())
		}
		return errors.Join(errs...)
	}
	f := &File{Meta: map[string]string{}, Tensors: map[string]*Tensor{}, src: &source{free: closeAll}}
	for _, name := range slices.Compact(slices.Sorted(maps.Values(where))) {
		shard, err := OpenWeights(filepath.Join(dir, name))
		if err != nil {
			closeAll()
			return nil, err
		}
		shards = append(shards, shard)
		for _, tensor := range shard.Names {
			if where[tensor] != name {
				closeAll()
				return nil, fmt.Errorf("reading %s: tensor %.80q is in %s, where the index does not have it", path, tensor, name)
			}
			f.Names = append(f.Names, tensor)
			f.Tensors[tensor] = shard.Tensors[tensor]
		}
	}
	for tensor, name := range where {
		if f.Tensors[tensor] == nil {
			closeAll()
			return nil, fmt.Errorf("reading %s: tensor %.80q is not in %s", path, tensor, name)
		}
	}
	return f, nil
}

// readIndex returns the file of each tensor.
func readIndex(path string) (map[string]string, error) {
	r, size, err := openRegular(path)
	if err != nil {
		return nil, bare(err, path)
	}
	defer r.Close()
	if size > maxIndex {
		return nil, fmt.Errorf("an index of %d bytes is longer than %d", size, maxIndex)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxIndex))
	if err != nil {
		return nil, err
	}
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, fmt.Errorf("index of shards: %w", err)
	}
	if len(index.Map) == 0 {
		return nil, errors.New("index of shards: no weight_map")
	}
	files := map[string]bool{}
	for tensor, name := range index.Map {
		if name == "" || name != filepath.Base(name) || !filepath.IsLocal(name) || strings.ContainsAny(name, `/\`) {
			return nil, fmt.Errorf("index of shards: tensor %.80q in %.80q, which is no file of the folder", tensor, name)
		}
		files[name] = true
	}
	if len(files) > maxShards {
		return nil, fmt.Errorf("index of %d shards, more than %d", len(files), maxShards)
	}
	return index.Map, nil
}
