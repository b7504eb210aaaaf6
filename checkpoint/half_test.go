package checkpoint_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"diffuse/checkpoint"
)

// rawFile is a safetensors file of one tensor "t" with the given bytes.
func rawFile(dtype string, n int, data []byte) []byte {
	header := fmt.Sprintf(`{"t":{"dtype":%q,"shape":[%d],"data_offsets":[0,%d]}}`, dtype, n, len(data))
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

// value is the definition of a binary floating-point number: sign, exp and man bits.
func value(h uint16, exp, man uint) float64 {
	e, m := int(h>>man)&(1<<exp-1), int(h)&(1<<man-1)
	bias := 1<<(exp-1) - 1
	v := math.Ldexp(float64(m), 1-bias-int(man))
	if e > 0 {
		v = math.Ldexp(float64(m+1<<man), e-bias-int(man))
	}
	if h>>15 == 1 {
		v = -v
	}
	return v
}

func TestHalfFloats(t *testing.T) {
	for _, c := range []struct {
		dtype    checkpoint.DType
		exp, man uint
	}{{checkpoint.F16, 5, 10}, {checkpoint.BF16, 8, 7}} {
		inf := uint16(1<<c.exp-1) << c.man
		// Reading: all bit patterns.
		raw := make([]byte, 0, 1<<17)
		for h := range 1 << 16 {
			raw = binary.LittleEndian.AppendUint16(raw, uint16(h))
		}
		f, err := checkpoint.OpenBytes(rawFile(string(c.dtype), 1<<16, raw))
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Tensors["t"].Float32()
		if err != nil {
			t.Fatal(err)
		}
		for h, g := range got {
			abs := uint16(h) & 0x7fff
			want := value(uint16(h), c.exp, c.man)
			switch {
			case abs == inf:
				want = math.Inf(1 - h>>15*2)
			case abs > inf:
				want = math.NaN()
			}
			if !(float64(g) == want || want != want && g != g) || (want == want && math.Signbit(float64(g)) != math.Signbit(want)) {
				t.Fatalf("%s %#04x reads as %g, want %g", c.dtype, h, g, want)
			}
		}
		// Writing: every number, every midpoint and its neighbours in float64, both signs.
		var in, want []float64
		for h := uint16(0); h < inf; h++ {
			lo, hi := value(h, c.exp, c.man), value(h+1, c.exp, c.man)
			in, want = append(in, lo), append(want, lo)
			if h+1 == inf {
				break
			}
			mid, even := (lo+hi)/2, lo // exact in float64
			if h&1 == 1 {
				even = hi
			}
			in = append(in, mid, math.Nextafter(mid, 0), math.Nextafter(mid, math.Inf(1)))
			want = append(want, even, lo, hi)
		}
		for i := range in {
			in, want = append(in, -in[i]), append(want, -want[i])
		}
		in = append(in, math.Inf(1), math.Inf(-1), math.NaN(), 1e-310, -1e-310)
		want = append(want, math.Inf(1), math.Inf(-1), math.NaN(), 0, math.Copysign(0, -1))
		half, err := checkpoint.Float64([]int{len(in)}, in).As(c.dtype)
		if err != nil {
			t.Fatal(err)
		}
		back, err := half.Float64()
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range back {
			if math.Float64bits(g) != math.Float64bits(want[i]) && !(g != g && want[i] != want[i]) {
				t.Fatalf("%s: value %d, %b, rounds to %g, want %g", c.dtype, i, in[i], g, want[i])
			}
		}
		// Half a step past the largest number is infinite in IEEE arithmetic, and refused here; just below is not.
		top := value(inf-1, c.exp, c.man)
		edge := top + (top-value(inf-2, c.exp, c.man))/2
		for v, ok := range map[float64]bool{edge: false, -edge: false, math.Nextafter(edge, 0): true, 1e300: false} {
			if _, err := checkpoint.Float64([]int{1}, []float64{v}).As(c.dtype); (err == nil) != ok {
				t.Errorf("%s: converting %g: error %v", c.dtype, v, err)
			}
		}
	}
}

// The payload of a NaN may be cut, but must not be cut to infinity.
func TestNaNStaysNaN(t *testing.T) {
	for _, bits := range []uint32{0x7f800001, 0xff800001, 0x7fffffff, 0x7fc00000} {
		for _, d := range []checkpoint.DType{checkpoint.F16, checkpoint.BF16, checkpoint.F64} {
			x, err := checkpoint.Float32([]int{1}, []float32{math.Float32frombits(bits)}).As(d)
			if err != nil {
				t.Fatal(err)
			}
			v, err := x.Float32()
			if err != nil || v[0] == v[0] || math.Signbit(float64(v[0])) != (bits>>31 == 1) {
				t.Errorf("%#x as %s gives %g, %v", bits, d, v[0], err)
			}
		}
	}
}

func TestAs(t *testing.T) {
	f := checkpoint.Float32([]int{2}, []float32{1, 2})
	if same, err := f.As(checkpoint.F32); err != nil || same != f {
		t.Errorf("to its own type: %v, %v", same, err)
	}
	for _, c := range []struct {
		t *checkpoint.Tensor
		d checkpoint.DType
	}{
		{checkpoint.Int64([]int{1}, []int64{1}), checkpoint.F16}, {f, checkpoint.I64}, {f, "F8_E4M3"},
		{&checkpoint.Tensor{DType: checkpoint.F32, Shape: []int{2}}, checkpoint.F16},
	} {
		if _, err := c.t.As(c.d); err == nil {
			t.Errorf("%s to %s: no error", c.t.DType, c.d)
		}
	}
	big := make([]float64, 100_001) // several chunks
	for i := range big {
		big[i] = float64(i % 2000)
	}
	h, err := checkpoint.Float64([]int{len(big)}, big).As(checkpoint.F16)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := h.Float64(); err != nil || !sameBits(got, big) {
		t.Errorf("integers to 2000 in F16 changed (%v)", err)
	}
}
