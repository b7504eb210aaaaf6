package golden

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
)

// WriteTorch writes tensors as float32 in the format that PyTorch had before version 1.6.
func WriteTorch(t testing.TB, path string, tensors map[string]*checkpoint.Tensor) {
	t.Helper()
	text := func(s string) string { return "X" + le32(len(s)) + s }
	names := slices.Sorted(maps.Keys(tensors))
	var program, keys strings.Builder
	program.WriteString("\x80\x02}(")
	keys.WriteString("\x80\x02](")
	for i, name := range names {
		key, x := text(fmt.Sprint(i)), tensors[name]
		strides, step := make([]int, len(x.Shape)), 1
		for d := len(x.Shape) - 1; d >= 0; d-- {
			strides[d] = step
			step *= x.Shape[d]
		}
		program.WriteString(text(name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" + key + text("cpu"))
		program.WriteString("J" + le32(x.Len()) + "NtQK\x00" + tuple(x.Shape) + tuple(strides) + "\x89NtR")
		keys.WriteString(key)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	w.WriteString("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}" + text("little_endian") + "\x88s.")
	w.WriteString(program.String() + "u." + keys.String() + "e.")
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

func tuple(v []int) string {
	var b strings.Builder
	for _, n := range v {
		b.WriteString("J" + le32(n))
	}
	return "(" + b.String() + "t"
}

func le32(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
