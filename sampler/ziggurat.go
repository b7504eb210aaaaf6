package sampler

import "math"

// normals is a generator of unit normals for paths, which need many of them from many starting points: splitmix64 (Steele, Lea & Flood 2014), whose
// state is one number, behind the ziggurat of Doornik 2005 ("An improved ziggurat method to generate normal random samples") with 256 layers.
// A path takes half the time that it takes with math/rand/v2.
type normals uint64

// The ziggurat's layers all have the area layerArea; beyond tailStart lies the lowest one's tail.
const (
	layers    = 256
	tailStart = 3.6541528853610088
	layerArea = 4.92867323399e-3
)

// layerEdge[i] is the right edge of layer i, falling to 0: the lowest layer has that of a rectangle as large as layer and tail. layerInside[i] is the
// share of layer i that lies under the curve whatever the height.
var layerEdge, layerInside = ziggurat()

func ziggurat() (edge [layers + 1]float64, inside [layers]float64) {
	density := func(x float64) float64 { return math.Exp(-x * x / 2) }
	edge[0], edge[1] = layerArea/density(tailStart), tailStart
	for i := 2; i < layers; i++ {
		edge[i] = math.Sqrt(-2 * math.Log(layerArea/edge[i-1]+density(edge[i-1])))
	}
	for i := range inside {
		inside[i] = edge[i+1] / edge[i]
	}
	return edge, inside
}

// bits64 returns the next 64 random bits.
func (n *normals) bits64() uint64 {
	*n += 0x9E3779B97F4A7C15
	z := uint64(*n)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// uniform returns a number in (0, 1).
func (n *normals) uniform() float64 { return (float64(n.bits64()>>11) + 0.5) / (1 << 53) }

// fill writes unit normals to x, two for each 64 bits: they have 24 bits, as those of float32 programs have. The loop is written out, with the state in a
// register, since calls would cost more than the normals.
func (n *normals) fill(x []float64) {
	s := uint64(*n)
	for i := 0; i < len(x); i += 2 {
		s += 0x9E3779B97F4A7C15
		z := (s ^ s>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		layer, u := z&(layers-1), float64(int32(z)>>8)/(1<<23) // u in [-1, 1); the layer's bits are not among its own
		if x[i] = u * layerEdge[layer]; math.Abs(u) >= layerInside[layer] {
			x[i], s = normals(s).edge(layer, u)
		}
		if i+1 == len(x) {
			break
		}
		layer, u = z>>32&(layers-1), float64(int64(z)>>40)/(1<<23)
		if x[i+1] = u * layerEdge[layer]; math.Abs(u) >= layerInside[layer] {
			x[i+1], s = normals(s).edge(layer, u)
		}
	}
	*n = normals(s)
}

// edge decides about a point that is not certain to lie under the curve, and draws others until one does. It returns it and the state after.
func (n normals) edge(layer uint64, u float64) (x float64, state uint64) {
	for {
		if math.Abs(u) < layerInside[layer] {
			return u * layerEdge[layer], uint64(n)
		}
		if layer == 0 {
			x := math.Copysign(n.tail(), u)
			return x, uint64(n)
		}
		x := u * layerEdge[layer]
		low := math.Exp((x*x - layerEdge[layer]*layerEdge[layer]) / 2) // heights over that of the curve at x
		high := math.Exp((x*x - layerEdge[layer+1]*layerEdge[layer+1]) / 2)
		if low+n.uniform()*(high-low) < 1 {
			return x, uint64(n)
		}
		z := n.bits64()
		layer, u = z&(layers-1), float64(int32(z)>>8)/(1<<23)
	}
}

// tail returns a normal beyond tailStart (Marsaglia 1964).
func (n *normals) tail() float64 {
	for {
		x := -math.Log(n.uniform()) / tailStart
		if y := -math.Log(n.uniform()); 2*y > x*x {
			return tailStart + x
		}
	}
}
