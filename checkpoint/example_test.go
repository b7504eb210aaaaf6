package checkpoint_test

import (
	"bytes"
	"fmt"

	"diffuse/checkpoint"
)

func Example() {
	weights := checkpoint.Float32([]int{2, 2}, []float32{1, 0.1, 65504, 3e-8})
	half, err := weights.As(checkpoint.F16)
	if err != nil {
		panic(err)
	}
	var file bytes.Buffer // checkpoint.WriteFile puts it on the disk
	err = checkpoint.Write(&file, &checkpoint.File{
		Meta:    map[string]string{"config": `{"resolution":32}`},
		Tensors: map[string]*checkpoint.Tensor{"conv.weight": half},
	})
	if err != nil {
		panic(err)
	}
	f, err := checkpoint.OpenBytes(file.Bytes())
	if err != nil {
		panic(err)
	}
	defer f.Close()
	for _, name := range f.Names {
		t := f.Tensors[name]
		v, err := t.Float32()
		fmt.Println(name, t.DType, t.Shape, v, err)
	}
	fmt.Println(f.Meta["config"])
	// Output:
	// conv.weight F16 [2 2] [1 0.099975586 65504 5.9604645e-08] <nil>
	// {"resolution":32}
}
