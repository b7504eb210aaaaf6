package golden

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
)

// WriteTorch writes tensors as a state dict of float32 in the format that PyTorch had before version 1.6.
func WriteTorch(t testing.TB, path string, tensors map[string]*checkpoint.Tensor) {
	t.Helper()
	names := slices.Sorted(maps.Keys(tensors))
	writeTorch(t, path, tensors, names, stateDict(tensors, names))
}

// WriteEDM writes a network as EDM saves one: an object of the preconditioning class with attributes and the keyword arguments it was made with,
// around one whose parameters are tensors. attributes and kwargs hold what JSON can.
func WriteEDM(t testing.TB, path, class string, attributes, kwargs map[string]any, tensors map[string]*checkpoint.Tensor) {
	t.Helper()
	names := slices.Sorted(maps.Keys(tensors))
	object := func(class, state string) string {
		meta := "}(" + value("type") + value("class") + value("class_name") + value(class) + value("state") + state + "u"
		return "ctorch_utils.persistence\n_reconstruct_persistent_obj\n" + meta + "\x85R"
	}
	bare := object("SongUNet", "}"+value("_parameters")+stateDict(tensors, names)+"s")
	state := value(attributes) + "(" + value("_init_args") + ")" + value("_init_kwargs") + value(kwargs) +
		value("_modules") + "}" + value("model") + bare + "su"
	writeTorch(t, path, tensors, names, "}"+value("ema")+object(class, state)+"s")
}

// stateDict is the program of a dictionary of tensors.
func stateDict(tensors map[string]*checkpoint.Tensor, names []string) string {
	var b strings.Builder
	b.WriteString("}(")
	for i, name := range names {
		x := tensors[name]
		shape, strides, step := make([]any, len(x.Shape)), make([]any, len(x.Shape)), 1
		for d := len(x.Shape) - 1; d >= 0; d-- {
			shape[d], strides[d] = float64(x.Shape[d]), float64(step)
			step *= x.Shape[d]
		}
		b.WriteString(value(name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + value("storage") + "ctorch\nFloatStorage\n" + value(fmt.Sprint(i)) + value("cpu"))
		b.WriteString("J" + le32(x.Len()) + "NtQK\x00" + value(shape) + value(strides) + "\x89NtR")
	}
	return b.String() + "u"
}

// writeTorch writes a file whose program refers to the storage of tensor number i by the key i.
func writeTorch(t testing.TB, path string, tensors map[string]*checkpoint.Tensor, names []string, program string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	w.WriteString("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}" + value("little_endian") + "\x88s.")
	w.WriteString("\x80\x02" + program + ".\x80\x02](")
	for i := range names {
		w.WriteString(value(fmt.Sprint(i)))
	}
	w.WriteString("e.")
	for _, name := range names {
		v, err := tensors[name].Float32()
		if err != nil {
			t.Fatal(err)
		}
		binary.Write(w, binary.LittleEndian, int64(len(v)))
		binary.Write(w, binary.LittleEndian, v)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// value pickles what JSON can hold; whole numbers as such.
func value(v any) string {
	var b strings.Builder
	switch v := v.(type) {
	case nil:
		return "N"
	case bool:
		return map[bool]string{true: "\x88", false: "\x89"}[v]
	case string:
		return "X" + le32(len(v)) + v
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<31 {
			return "J" + le32(int(v))
		}
		return "G" + string(binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
	case []any:
		for _, x := range v {
			b.WriteString(value(x))
		}
		return "](" + b.String() + "e"
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			b.WriteString(value(key) + value(v[key]))
		}
		return "}(" + b.String() + "u"
	}
	panic(fmt.Sprintf("golden: %T cannot be pickled", v))
}

func le32(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
