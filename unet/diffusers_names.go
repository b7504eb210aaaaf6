package unet

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"diffuse/checkpoint"
	"diffuse/tensor"
)

// oldUNet2D are names of layers in files of the first versions, by the ones that came later.
var oldUNet2D = map[string]string{"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn", "time_proj.weight": "time_proj.W"}

// oldPeer returns the first name of a tensor that the library has renamed, "" for the others.
func oldPeer(name string) string {
	if old, ok := oldUNet2D[name]; ok {
		return old
	}
	layer, end := cutLast(name)
	for later, old := range oldUNet2D {
		if block, ok := strings.CutSuffix(layer, "."+later); ok {
			return block + "." + old + end
		}
	}
	return ""
}

// A peerTensor is a parameter, or a part of one, as the library's files have it.
type peerTensor struct {
	name  string
	shape []int
}

// peerTensors lists what a parameter is in the library's files: query, key and value of attention apart and as matrices, tables with a
// row per entry.
func (p param) peerTensors() []peerTensor {
	shape := tensor.FileShape(p.Shape)
	switch {
	case len(p.peers) == 3:
		shape = slices.Clone(shape[:min(2, len(shape))])
		shape[0] /= 3
	case p.attention():
		shape = shape[:2]
	case p.table():
		shape = []int{shape[1], shape[0]}
	}
	list := make([]peerTensor, len(p.peers))
	for i, name := range p.peers {
		list[i] = peerTensor{name, shape}
	}
	return list
}

// attention says whether p is the matrix behind attention, which we keep as a convolution of one pixel.
func (p param) attention() bool { return strings.HasSuffix(p.name, ".proj.weight") }

// table says whether p has a row per entry in the library's files.
func (p param) table() bool { return p.name == "map_label.weight" || p.name == "map_noise.weight" }

// UNet2DShapes returns the shapes of the tensors that a network of type "unet2d" has in diffusers' files, by name. c must be valid.
func (c Config) UNet2DShapes() map[string][]int {
	shapes := map[string][]int{}
	for _, p := range outline(c).stored() {
		for _, x := range p.peerTensors() {
			shapes[x.name] = x.shape
		}
	}
	return shapes
}

// fromUNet2D turns a UNet2DModel's tensors into those that [Net.Import] takes. Every tensor that is missing, has another shape or type, or
// does not belong to the network is listed in a [*MismatchError] under the library's name.
func (n *Net) fromUNet2D(files map[string]*checkpoint.Tensor) (map[string]*checkpoint.Tensor, error) {
	out := make(map[string]*checkpoint.Tensor, len(files))
	claimed := make(map[string]bool, len(files))
	var wrong mismatches
	for _, p := range n.stored() {
		var parts []*checkpoint.Tensor
		for _, want := range p.peerTensors() {
			name := want.name
			if old := oldPeer(name); old != "" && files[name] == nil && files[old] != nil {
				name = old
			}
			claimed[name] = true
			x := files[name]
			if x != nil && (len(p.peers) == 3 || p.attention()) {
				x = matrix(x)
			}
			if wrong.check(name, x, want.shape) {
				parts = append(parts, x)
			}
		}
		if len(parts) < len(p.peers) {
			continue
		}
		x, err := p.assemble(parts)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", p.peers[0], err)
		}
		out[p.name] = x
	}
	wrong.unclaimed(files, claimed)
	return out, wrong.err()
}

// assemble makes a parameter of its parts. Query, key and value are woven row by row, which is EDM's order for any number of heads.
func (p param) assemble(parts []*checkpoint.Tensor) (*checkpoint.Tensor, error) {
	switch {
	case len(parts) == 3:
		return weave(parts, tensor.FileShape(p.Shape))
	case p.table():
		return transposed(parts[0])
	case p.attention():
		y := *parts[0]
		y.Shape = tensor.FileShape(p.Shape)
		return &y, nil
	}
	return parts[0], nil
}

// matrix drops the kernel of one pixel that the first versions stored with some matrices.
func matrix(x *checkpoint.Tensor) *checkpoint.Tensor {
	if len(x.Shape) != 4 || x.Shape[2] != 1 || x.Shape[3] != 1 {
		return x
	}
	y := *x
	y.Shape = x.Shape[:2]
	return &y
}

// transposed exchanges rows and columns.
func transposed(x *checkpoint.Tensor) (*checkpoint.Tensor, error) {
	v, err := x.Float32()
	if err != nil {
		return nil, err
	}
	rows, cols := x.Shape[0], x.Shape[1]
	y := make([]float32, len(v))
	for i := range rows {
		for j := range cols {
			y[j*rows+i] = v[i*cols+j]
		}
	}
	return checkpoint.Float32([]int{cols, rows}, y), nil
}

// weave interleaves the rows of query, key and value into a tensor of the given shape.
func weave(parts []*checkpoint.Tensor, shape []int) (*checkpoint.Tensor, error) {
	var v [3][]float32
	for i, x := range parts {
		var err error
		if v[i], err = x.Float32(); err != nil {
			return nil, err
		}
	}
	rows := parts[0].Shape[0]
	width := len(v[0]) / max(1, rows)
	y := make([]float32, 0, 3*len(v[0]))
	for r := range rows {
		for i := range v {
			y = append(y, v[i][r*width:(r+1)*width]...)
		}
	}
	return checkpoint.Float32(shape, y), nil
}

// ExportUNet2D returns the weights of a network of type "unet2d" under the names and in the layout of diffusers' files, stored as d.
// Fourier frequencies are always float32. Other networks are an error.
func (n *Net) ExportUNet2D(d checkpoint.DType) (map[string]*checkpoint.Tensor, error) {
	if n.UNet2D == nil {
		return nil, errors.New("only networks of type unet2d have names in diffusers")
	}
	if err := n.bare(); err != nil {
		return nil, err
	}
	files := make(map[string]*checkpoint.Tensor, 2*len(n.params))
	for _, p := range n.stored() {
		data := tensor.ToFile(p.Tensor)
		for i, want := range p.peerTensors() {
			part := data
			switch {
			case len(p.peers) == 3:
				part = unwoven(data, want.shape[0], i)
			case p.table():
				part = p.Data // In×Out as it is
			}
			f, err := checkpoint.Float32(want.shape, slices.Clone(part)), error(nil)
			if p.Tensor != n.freqs {
				f, err = f.As(d)
			}
			if err != nil {
				return nil, fmt.Errorf("tensor %q: %w", want.name, err)
			}
			files[want.name] = f
		}
	}
	return files, nil
}

// unwoven returns every third of 3·rows rows, from the i-th on.
func unwoven(data []float32, rows, i int) []float32 {
	width := len(data) / max(1, 3*rows)
	y := make([]float32, 0, rows*width)
	for r := range rows {
		y = append(y, data[(3*r+i)*width:(3*r+i+1)*width]...)
	}
	return y
}
