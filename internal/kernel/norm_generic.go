package kernel

// The reference loops of norm.go, sums and exponentials in float64.

// channelMomentsGeneric adds both sums to what sum and sumsq hold.
func channelMomentsGeneric(sum, sumsq []float32, x []float32, center []float32, p, c int) {
	const block = 16 // channels whose float64 sums fit a stack array
	for c0 := 0; c0 < c; c0 += block {
		n := min(block, c-c0)
		var s1, s2, mid [block]float64
		if center != nil {
			for j, v := range center[c0 : c0+n] {
				mid[j] = float64(v)
			}
		}
		for i := range p {
			for j, v := range x[i*c+c0 : i*c+c0+n] {
				d := float64(v) - mid[j]
				s1[j] += d
				s2[j] += d * d
			}
		}
		for j := range n {
			sum[c0+j] += float32(s1[j])
			if sumsq != nil {
				sumsq[c0+j] += float32(s2[j])
			}
		}
	}
}

func affineSiLUGeneric(dst, x, a, b []float32, p, c int, silu bool) {
	a, b = a[:c], b[:c]
	for i := range p {
		in, out := x[i*c:(i+1)*c], dst[i*c:(i+1)*c]
		for j, v := range in {
			z := float64(v)*float64(a[j]) + float64(b[j])
			if silu {
				z = siluOf(z)
			}
			out[j] = float32(z)
		}
	}
}

func affineSiLUGradGeneric(dz, dy, x, a, b, s1, s2 []float32, p, c int, silu bool) {
	const block = 16
	for c0 := 0; c0 < c; c0 += block {
		n := min(block, c-c0)
		var t1, t2 [block]float64
		for i := range p {
			at := i*c + c0
			for j := range n {
				v, d := float64(x[at+j]), float64(dy[at+j])
				if silu {
					d *= siluSlope(v*float64(a[c0+j]) + float64(b[c0+j]))
				}
				dz[at+j] = float32(d)
				t1[j] += d
				t2[j] += d * v
			}
		}
		for j := range n {
			s1[c0+j] += float32(t1[j])
			s2[c0+j] += float32(t2[j])
		}
	}
}

func affineAddGradGeneric(dx, dz, x, ca, cb, cc []float32, p, c int) {
	ca, cb, cc = ca[:c], cb[:c], cc[:c]
	for i := range p {
		out, d, v := dx[i*c:(i+1)*c], dz[i*c:(i+1)*c], x[i*c:(i+1)*c]
		for j := range out {
			out[j] += d[j]*ca[j] + v[j]*cb[j] + cc[j]
		}
	}
}

func addChannelsGeneric(dst, x, e []float32, p, c int) {
	e = e[:c]
	for i := range p {
		in, out := x[i*c:(i+1)*c], dst[i*c:(i+1)*c]
		for j, v := range in {
			out[j] = v + e[j]
		}
	}
}
