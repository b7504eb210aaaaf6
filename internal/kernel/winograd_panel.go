package kernel

// Where tiles are few the time goes into weights, which grow fourfold when they are transformed. So they are never in memory as a whole then:
// each task takes a panel through all 36 places, some input channels at a time, and what it transforms stays in its second-level cache.

// winogradChunk is how many floats of transformed weights a task has at a time.
const winogradChunk = 1 << 17

// byPanel computes y for all tiles, panel by panel. Its sums are those of the other ways, bit by bit.
func (j *winogradJob) byPanel(p *panels, bias []float32, tiles int) {
	mr, nr, cin := j.t.mr, j.t.nr, j.s.cin
	parts := (cin-1)*winogradPlaces*nr/winogradChunk + 1
	chunk := (cin-1)/parts + 1
	j.panel.n, j.panel.count = nr, 1
	j.room = j.t.filled(tiles)
	j.patchStep, j.productStep, j.weightStep = apart(j.room*cin), apart(j.room*nr), apart(chunk*nr)
	patches := borrow(winogradPlaces * j.patchStep)
	defer patches.release()
	j.patches = patches.f
	j.spread(j.room/mr, func(i0, i1 int) { j.load(0, i0*mr, min(i1*mr, tiles)) })
	j.spread(p.count, func(i0, i1 int) {
		weights, products := borrow(winogradPlaces*j.weightStep), borrow(winogradPlaces*j.productStep)
		defer weights.release()
		defer products.release()
		own := *j
		own.weights, own.products = weights.f, products.f
		for i := i0; i < i1; i++ {
			own.from, own.cout, own.bias = i, min(nr, j.s.cout-i*nr), bias[i*nr:]
			b, bs := p.panel(i)
			for c := 0; c < cin; c += chunk {
				n := min(chunk, cin-c)
				winogradWeights(own.weights, b[c*bs:], own.weightStep, cin*bs, bs, n, nr)
				own.multiply(tiles, 0, winogradPlaces, c, n)
			}
			own.store(0, 0, tiles)
		}
	})
}
