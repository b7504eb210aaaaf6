package sampler

import (
	"math"
	"math/big"
	"sync"
)

// The functions in this file are the double precision logarithms, sine and cosine of the GNU C library (2.36 as Debian 12 has it) on
// processors with FMA. They are not correctly rounded, so that PyTorch's float64 numbers need exactly these operations. math.FMA stands where the library's build has one rounding for two operations, a conversion such as
// float64(a*b) where it has two.

// logInverse are the factors that bring the middle of 128 pieces of [0.6875, 1.375) near 1.
var logInverse = [128]float64{
	0x1.734f0c3e0de9fp0, 0x1.713786a2ce91fp0, 0x1.6f26008fab5a0p0, 0x1.6d1a61f138c7dp0, 0x1.6b1490bc5b4d1p0, 0x1.69147332f0cbap0,
	0x1.6719f18224223p0, 0x1.6524f99a51ed9p0, 0x1.63356aa8f24c4p0, 0x1.614b36b9ddc14p0, 0x1.5f66452c65c4cp0, 0x1.5d867b5912c4fp0,
	0x1.5babccb5b90dep0, 0x1.59d61f2d91a78p0, 0x1.5805612465687p0, 0x1.56397cee76bd3p0, 0x1.54725e2a77f93p0, 0x1.52aff42064583p0,
	0x1.50f22dbb2bddfp0, 0x1.4f38f4734ded7p0, 0x1.4d843cfde2840p0, 0x1.4bd3ec078a3c8p0, 0x1.4a27fc3e0258ap0, 0x1.4880524d48434p0,
	0x1.46dce1b192d0bp0, 0x1.453d9d3391854p0, 0x1.43a2744b4845ap0, 0x1.420b54115f8fbp0, 0x1.40782da3ef4b1p0, 0x1.3ee8f5d57fe8fp0,
	0x1.3d5d9a00b4ce9p0, 0x1.3bd60c010c12bp0, 0x1.3a5242b75dab8p0, 0x1.38d22cd9fd002p0, 0x1.3755bc5847a1cp0, 0x1.35dce49ad36e2p0,
	0x1.34679984dd440p0, 0x1.32f5cceffcb24p0, 0x1.3187775a10d49p0, 0x1.301c8373e3990p0, 0x1.2eb4ebb95f841p0, 0x1.2d50a0219a9d1p0,
	0x1.2bef9a8b7fd2ap0, 0x1.2a91c7a0c1babp0, 0x1.293726014b530p0, 0x1.27dfa5757a1f5p0, 0x1.268b39b1d3bbfp0, 0x1.2539d838ff5bdp0,
	0x1.23eb7aac9083bp0, 0x1.22a012ba940b6p0, 0x1.2157996cc4132p0, 0x1.201201dd2fc9bp0, 0x1.1ecf4494d480bp0, 0x1.1d8f5528f6569p0,
	0x1.1c52311577e7cp0, 0x1.1b17c74cb26e9p0, 0x1.19e010c2c1ab6p0, 0x1.18ab07bb670bdp0, 0x1.1778a25efbcb6p0, 0x1.1648d354c31dap0,
	0x1.151b990275fddp0, 0x1.13f0ea432d24cp0, 0x1.12c8b7210f9dap0, 0x1.11a3028ecb531p0, 0x1.107fbda8434afp0, 0x1.0f5ee0f4e6bb3p0,
	0x1.0e4065d2a9fcep0, 0x1.0d244632ca521p0, 0x1.0c0a77ce2981ap0, 0x1.0af2f83c636d1p0, 0x1.09ddb98a01339p0, 0x1.08cabaf52e7dfp0,
	0x1.07b9f2f4e28fbp0, 0x1.06ab58c358f19p0, 0x1.059eea5ecf92cp0, 0x1.04949cdd12c90p0, 0x1.038c6c6f0ada9p0, 0x1.02865137932a9p0,
	0x1.0182427ea7348p0, 0x1.008040614b195p0, 0x1.fe01ff726fa1ap-1, 0x1.fa11cc261ea74p-1, 0x1.f6310b081992ep-1, 0x1.f25f63ceeadcdp-1,
	0x1.ee9c8039113e7p-1, 0x1.eae8078cbb1abp-1, 0x1.e741aa29d0c9bp-1, 0x1.e3a91830a99b5p-1, 0x1.e01e009609a56p-1, 0x1.dca01e577bb98p-1,
	0x1.d92f20b7c9103p-1, 0x1.d5cac66fb5ccep-1, 0x1.d272caa5ede9dp-1, 0x1.cf26e3e6b2ccdp-1, 0x1.cbe6da2a77902p-1, 0x1.c8b266d37086dp-1,
	0x1.c5894bd5d5804p-1, 0x1.c26b533bb9f8cp-1, 0x1.bf583eeece73fp-1, 0x1.bc4fd75db96c1p-1, 0x1.b951e0c864a28p-1, 0x1.b65e2c5ef3e2cp-1,
	0x1.b374867c9888bp-1, 0x1.b094b211d304ap-1, 0x1.adbe885f2ef7ep-1, 0x1.aaf1d31603da2p-1, 0x1.a82e63fd358a7p-1, 0x1.a5740ef09738bp-1,
	0x1.a2c2a90ab4b27p-1, 0x1.a01a01393f2d1p-1, 0x1.9d79f24db3c1bp-1, 0x1.9ae2505c7b190p-1, 0x1.9852ef297ce2fp-1, 0x1.95cbaeea44b75p-1,
	0x1.934c69de74838p-1, 0x1.90d4f2f6752e6p-1, 0x1.8e6528effd79dp-1, 0x1.8bfce9fcc007cp-1, 0x1.899c0dabec30ep-1, 0x1.87427aa2317fbp-1,
	0x1.84f00acb39a08p-1, 0x1.82a49e8653e55p-1, 0x1.8060195f40260p-1, 0x1.7e22563e0a329p-1, 0x1.7beb377dcb5adp-1, 0x1.79baa679725c2p-1,
	0x1.77907f2170657p-1, 0x1.756cadbd6130cp-1,
}

// libmLog returns ln x for x in (0, 1], no subnormals (ARM's Optimized Routines: a table of 128 pieces and a polynomial).
func libmLog(x float64) float64 {
	if x > 1-0x1p-4 {
		return logNearOne(x)
	}
	const offset = 0x3fe6000000000000
	bits := math.Float64bits(x)
	t := bits - offset
	invc := logInverse[t>>45&127]
	// The table holds those points whose logarithm is a multiple of 2^-43 to eight more digits.
	logc := math.RoundToEven(-math.Log(invc)*0x1p43) * 0x1p-43
	k := float64(int64(t) >> 52)
	r := math.FMA(math.Float64frombits(bits-t&(0xfff<<52)), invc, -1)
	w := math.FMA(k, 0x1.62e42fefa3800p-1, logc)
	hi := w + r
	lo := math.FMA(k, 0x1.ef35793c76730p-45, (w-hi)+r)
	r2 := float64(r * r)
	lo = math.FMA(r2, -0x1.0000000000001p-1, lo)
	p := math.FMA(r, -0x1.fffffffeb459p-3, 0x1.555555551305bp-2)
	q := math.FMA(r, -0x1.55575e506c89fp-3, 0x1.999b324f10111p-3)
	return math.FMA(float64(r*r2), math.FMA(q, r2, p), lo) + hi
}

// logNearOne is libmLog for x between 1-2^-4 and 1.
func logNearOne(x float64) float64 {
	r := x - 1
	r2 := float64(r * r)
	r3 := float64(r * r2)
	a := math.FMA(r2, 0x1.999999995dd0cp-3, math.FMA(r, -0x1.ffffffffffdcbp-3, 0x1.5555555555577p-2))
	b := math.FMA(r2, -0x1.fffffa4423d65p-4, math.FMA(r, 0x1.24924a344de58p-3, -0x1.55555556745a7p-3))
	c := math.FMA(r2, 0x1.78182f7afd085p-4, math.FMA(r, -0x1.999eb43b068ffp-4, 0x1.c7184282ad6cap-4))
	c = math.FMA(r3, -0x1.5521375d145cdp-4, c)
	p := math.FMA(math.FMA(c, r3, b), r3, a)
	high := math.FMA(-0x1p27, r, math.FMA(r, 0x1p27, r)) // r to 26 digits, so that its square is exact
	square := float64(high * high)
	hi := math.FMA(square, -0.5, r)
	lo := math.FMA(square, -0.5, r-hi)
	lo = math.FMA(-0.5*(r-high), r+high, lo)
	return hi + math.FMA(p, r3, lo)
}

// libmLog1p returns ln(1+x) for x in (-1, 0] (Sun's fdlibm with the terms of the polynomial in glibc's order).
func libmLog1p(x float64) float64 {
	const (
		ln2hi = 6.93147180369123816490e-01
		ln2lo = 1.90821492927058770002e-10
	)
	if x > -0x1p-29 {
		if x > -0x1p-54 {
			return x
		}
		return math.FMA(-float64(x*x), 0.5, x)
	}
	// 1+x = 2^k·(1+f), c corrects the rounding of 1+x; small x are f themselves.
	k, f, c, tiny := 0.0, x, 0.0, false
	if math.Float64bits(-x)>>32 >= 0x3fd2bec4 { // about 1 - sqrt(1/2)
		u := 1 + x
		c = (x - (u - 1)) / u
		bits := math.Float64bits(u)
		k = float64(int64(bits>>52) - 1023)
		top := bits >> 32 & 0xfffff // high bits of the significand
		if top < 0x6a09e {
			f = math.Float64frombits(bits&(1<<52-1)|0x3ff<<52) - 1
		} else {
			k++
			f = math.Float64frombits(bits&(1<<52-1)|0x3fe<<52) - 1
			top = (0x100000 - top) >> 2
		}
		tiny = top == 0
	}
	half := float64(float64(0.5*f) * f)
	rest := math.FMA(k, ln2lo, c)
	if tiny { // |f| < 2^-20
		if f == 0 {
			return math.FMA(k, ln2hi, rest)
		}
		r := half * math.FMA(-f, 0.6666666666666666, 1)
		if k == 0 {
			return f - r
		}
		return math.FMA(k, ln2hi, -((r - rest) - f))
	}
	s := f / (2 + f)
	z := float64(s * s)
	z2 := float64(z * z)
	z4 := float64(z2 * z2)
	a := math.FMA(z, 2.857142874366239149e-01, 3.999999999940941908e-01)
	b := math.FMA(z, 1.818357216161805012e-01, 2.222219843214978396e-01)
	d := math.FMA(z, 1.479819860511658591e-01, 1.531383769920937332e-01)
	r := math.FMA(z, 6.666666666666735130e-01, float64(z2*a))
	r = math.FMA(float64(z2*z4), d, math.FMA(z4, b, r))
	t := float64((half + r) * s)
	if k == 0 {
		return f - (half - t)
	}
	return math.FMA(k, ln2hi, -((half - (rest + t)) - f))
}

// libmSinCos returns sin x and cos x for x in [0, 2π) (IBM's Accurate Mathematical Library, as glibc has shortened it).
func libmSinCos(x float64) (sin, cos float64) {
	const (
		halfPi   = 0x1.921fb54442d18p0 // and the next digits
		halfPiLo = 0x1.1a62633145c07p-54
	)
	switch top := math.Float64bits(x) >> 32; {
	case top < 0x3e400000: // 2^-27
		return x, 1
	case top < 0x3feb6000: // 0.855
		return sinNear(x, 0), cosNear(x, 0)
	case top < 0x400368fd: // 2.426
		y := halfPi - x
		a := y + halfPiLo
		da := (y - a) + halfPiLo
		return cosNear(a, da), sinNear(a, da)
	}
	// x = n·π/2 + a + da, with π/2 in four parts.
	const (
		part1 = 0x1.921fb58000000p0
		part2 = -0x1.dde973c000000p-27
		part3 = -0x1.cb3b398000000p-55
		part4 = -0x1.d747f23e32ed7p-83
		shift = 0x1.8p52
	)
	t := math.FMA(x, 2/math.Pi, shift)
	n := int(math.Float64bits(t) & 3)
	xn := t - shift
	y := math.FMA(-xn, part2, math.FMA(-xn, part1, x))
	t2 := math.FMA(-xn, part3, y)
	da := math.FMA(-xn, part3, y-t2)
	a := math.FMA(-xn, part4, t2)
	da += math.FMA(-xn, part4, t2-a)
	if n == 1 || n == 2 {
		a, da = -a, -da
	}
	sin, cos = sinNear(a, da), cosNear(a, da)
	if n&2 != 0 {
		cos = -cos
	}
	if n&1 != 0 {
		sin, cos = cos, sin
	}
	return sin, cos
}

// sinCosTable holds sin and cos of k/128 as sums of two float64 each.
var sinCosTable = sync.OnceValue(func() *[112][4]float64 {
	table := new([112][4]float64)
	for k := range table {
		sin, cos := exactSinCos(k)
		for i, v := range []*big.Float{sin, cos} {
			hi, _ := v.Float64()
			lo, _ := v.Sub(v, big.NewFloat(hi)).Float64()
			table[k][2*i], table[k][2*i+1] = hi, lo
		}
	}
	return table
})

// exactSinCos sums the Taylor series of sin and cos at k/128 < 1 to 200 bits.
func exactSinCos(k int) (sin, cos *big.Float) {
	number := func(v float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(v) }
	x, term := number(float64(k)/128), number(1)
	sin, cos = number(0), number(0)
	for i := 1; i < 40; i++ {
		sum := cos
		if i%2 == 0 {
			sum = sin
		}
		if i%4 == 1 || i%4 == 2 {
			sum.Add(sum, term)
		} else {
			sum.Sub(sum, term)
		}
		term.Mul(term, x)
		term.Quo(term, number(float64(i)))
	}
	return sin, cos
}

// nearest splits |x| into the nearest multiple of 1/128, whose row of the table it returns, and the rest.
func nearest(x float64) (row *[4]float64, rest float64) {
	const shift = 0x1.8p45 // its last bit is worth 1/128
	u := shift + math.Abs(x)
	table := sinCosTable()
	return &table[math.Float64bits(u)&127], math.Abs(x) - (u - shift)
}

const (
	sin3, sin5       = -1.66666666666664880952546298448555e-01, 8.33333214285722277379541354343671e-03
	cos2, cos4, cos6 = 4.99999999999999999999950396842453e-01, -4.16666666666664434524222570944589e-02, 1.38888874007937613028114285595617e-03
)

// sinNear returns sin(x+dx) for |x| up to 0.86.
func sinNear(x, dx float64) float64 {
	if math.Abs(x) < 0.126 {
		xx := float64(x * x)
		p := math.FMA(-0x1.addffc2fcdf59p-26, xx, 0x1.71de27b9a7ed9p-19)
		p = math.FMA(p, xx, -0x1.a01a019db08b8p-13)
		p = math.FMA(p, xx, 0x1.1111111110ecep-7)
		p = math.FMA(p, xx, -0x1.5555555555555p-3)
		return x + math.FMA(math.FMA(p, x, float64(-0.5*dx)), xx, dx)
	}
	if x <= 0 {
		dx = -dx
	}
	row, r := nearest(x)
	rr := float64(r * r)
	s := r + math.FMA(float64(r*rr), math.FMA(rr, sin5, sin3), dx)
	c := math.FMA(r, dx, float64(rr*math.FMA(rr, math.FMA(rr, cos6, cos4), cos2)))
	cor := math.FMA(row[2], s, math.FMA(-row[0], c, math.FMA(s, row[3], row[1])))
	return math.Copysign(row[0]+cor, x)
}

// cosNear returns cos(x+dx) for |x| up to 0.86.
func cosNear(x, dx float64) float64 {
	if x < 0 {
		dx = -dx
	}
	row, r := nearest(x)
	r += dx
	rr := float64(r * r)
	s := math.FMA(float64(r*rr), math.FMA(rr, sin5, sin3), r)
	c := rr * math.FMA(rr, math.FMA(rr, cos6, cos4), cos2)
	cor := math.FMA(-row[0], s, math.FMA(-row[2], c, math.FMA(-s, row[1], row[3])))
	return row[2] + cor
}
