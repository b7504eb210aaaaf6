package sampler

import "math"

// The functions in this file are the single precision logarithm, sine and cosine of the Cephes library (Moshier 1984-1992) in the
// order of operations of PyTorch's AVX2 build, whose compiler fuses a product and the sum after it into one rounding.
// A conversion such as float32(a*b) keeps Go from fusing where that build does not.

// fma32 returns a·b + c with one rounding to float32.
func fma32(a, b, c float32) float32 {
	p, q := float64(a)*float64(b), float64(c) // both exact
	s := p + q
	// Rounding to float64 and then to float32 could round twice the same way. Rounding to odd first cannot
	// (Boldo and Melquiond 2008): if s is not exact, its last bit becomes 1 on the side of the true sum.
	v := s - p
	if e := (p - (s - v)) + (q - v); e != 0 {
		if b := math.Float64bits(s); b&1 == 0 {
			if (e > 0) == (s > 0) {
				b++
			} else {
				b--
			}
			s = math.Float64frombits(b)
		}
	}
	return float32(s)
}

// sqrt32 rounds correctly: float64 has more than twice the digits of float32.
func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// cephesLog returns ln x for x in (0, 1].
func cephesLog(x float32) float32 {
	bits := math.Float32bits(x)
	m := math.Float32frombits(bits&^0x7f800000 | 0x3f000000) // in [0.5, 1)
	e := float32(int32(bits>>23)-127) + 1
	if m < math.Sqrt2/2 {
		e--
		m += m - 1 // exact, in [0, sqrt(2) - 1)
	} else {
		m--
	}
	z := float32(m * m)
	y := float32(7.0376836292e-2)
	for _, c := range [...]float32{-1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
		-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1} {
		y = fma32(y, m, c)
	}
	y = float32(y * m)
	y = fma32(y, z, float32(e*-2.12194440e-4))
	y = fma32(-z, 0.5, y)
	return fma32(e, 0.693359375, m+y) // the two constants add up to ln 2
}

// cephesSinCos returns sin x and cos x for x in [0, 2π].
func cephesSinCos(x float32) (sin, cos float32) {
	j := (int32(float32(x*(4/math.Pi))) + 1) &^ 1 // octant, rounded up to even
	y := float32(j)
	x = fma32(y, -0.78515625, x) // π/4 in three parts
	x = fma32(y, -2.4187564849853515625e-4, x)
	x = fma32(y, -3.77489497744594108e-8, x)
	z := float32(x * x)

	c := fma32(2.443315711809948e-5, z, -1.388731625493765e-3)
	c = fma32(c, z, 4.166664568298827e-2)
	c = float32(c * z)
	c = fma32(c, z, -float32(z*0.5)) + 1

	s := fma32(-1.9515295891e-4, z, 8.3321608736e-3)
	s = fma32(s, z, -1.6666654611e-1)
	s = float32(s * z)
	s = fma32(s, x, x)

	if j&2 != 0 {
		s, c = c, s
	}
	if j&4 != 0 {
		s = -s
	}
	if (j-2)&4 == 0 {
		c = -c
	}
	return s, c
}
