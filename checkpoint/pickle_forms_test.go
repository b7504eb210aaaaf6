package checkpoint_test

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
)

func readPickle(b []byte) (*checkpoint.Pickle, error) {
	return checkpoint.ReadPickle(bytes.NewReader(b), int64(len(b)))
}

// TestPickleProtocols reads one object of all kinds of values, with two tensors in nested storages, in protocols 0 to 5.
func TestPickleProtocols(t *testing.T) {
	big70 := new(big.Int).Lsh(big.NewInt(1), 70)
	for protocol := range 6 {
		p := openPickle(t, golden.Path(t, "pickles", fmt.Sprintf("nested%d.pkl", protocol)), protocol%2 == 0)
		root, ok := p.Root.(*checkpoint.Dict)
		if !ok || !slices.Equal(root.Keys, []any{"w", "t", "name", "many"}) || root.Get("name") != "aé\n\\u中" {
			t.Fatalf("protocol %d: %+v", protocol, p.Root)
		}
		many := root.Get("many").(*checkpoint.List).Items
		want := []any{int64(0), int64(255), int64(256), int64(65535), int64(65536), int64(-1), int64(1 << 31), int64(-1 << 40)}
		if !slices.Equal(many[:8], want) || many[8].(*big.Int).Cmp(big70) != 0 {
			t.Errorf("protocol %d: integers %v", protocol, many[:9])
		}
		zero, _ := many[10].(float64)
		if many[9] != 1.5 || zero != 0 || !math.Signbit(zero) || !slices.Equal(many[11:14], []any{true, false, nil}) {
			t.Errorf("protocol %d: %v", protocol, many[9:14])
		}
		for i, n := range []int{2, 1, 2, 3, 4} {
			if l := many[15+i].(*checkpoint.List); len(l.Items) != n {
				t.Errorf("protocol %d: set or tuple %d holds %v", protocol, i, l.Items)
			}
		}
		for name, want := range map[string][]float32{"w": {0, 1, 2, 3, 4, 5}, "t": {202, 205, 203, 206, 204, 207}} {
			x := root.Get(name).(*checkpoint.Tensor)
			got, err := x.Float32()
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("protocol %d: %s is %v (%v), want %v", protocol, name, got, err, want)
			}
		}
	}
}

// TestStateDicts reads a state dict as torch.save writes it today and as it did before version 1.6.
func TestStateDicts(t *testing.T) {
	for _, name := range []string{"state_dict.pt", "state_dict_old.pth"} {
		f, err := checkpoint.OpenWeights(golden.Path(t, "pickles", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if !slices.Equal(f.Names, []string{"a.weight", "a.weight_t", "a.steps", "a.half"}) {
			t.Errorf("%s: names %q", name, f.Names)
		}
		for key, want := range map[string][]float64{"a.weight": {0, 1, 2, 3, 4, 5}, "a.weight_t": {0, 3, 1, 4, 2, 5}, "a.steps": {7}, "a.half": {2, 4}} {
			got, err := f.Tensors[key].Float64()
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %s is %v (%v), want %v", name, key, got, err, want)
			}
		}
	}
	if _, err := checkpoint.OpenWeights(golden.Path(t, "edm", "reject_pickles", "os_system.pkl")); err == nil || !strings.Contains(err.Error(), "posix.system") {
		t.Errorf("a hostile pickle: %v", err)
	}
}
