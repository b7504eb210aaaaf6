package kernel

// Products of matrices in bfloat16 by tiles of 16 rows of 64 bytes, the registers of AMX (Intel's manual, volume 1, chapter 18). CPUs with
// AVX-512's instructions for bfloat16 but without AMX read the same form, where numbers are not sums of two.
//
// A tile of A holds 32 terms of 16 rows; one of B holds 32 terms of 16 columns, with the terms 2r and 2r+1 of a column side by side in row r;
// one of C holds 16×16 sums in float32. What is in hand of a goroutine is a pair of runs, of 16 rows of A each, and a panel of 32 columns of B:
// 2×2 tiles of C stay in registers while the terms go by, 32 a step.
const (
	amxRows  = 16
	amxTerms = 32
	amxPanel = 32
	amxTile  = amxRows * amxTerms // bfloat16 numbers in a tile
	amxRun   = amxRows * amxPanel // sums of a run and a panel
)

// An amxA says where the runs of A are: row i of run r, step q is the 32 numbers of data from starts[r] + offsets[q] + i*ld on. If split is not
// 0 each number is a sum of two, and the smaller ones are split numbers further on.
type amxA struct {
	data            []uint16
	starts, offsets []int
	ld, split       int
}

// amxStep returns the numbers of B of one step: two tiles, or four if each number is a sum of two, the smaller ones first.
func amxStep(split bool) int {
	if split {
		return 4 * amxTile
	}
	return 2 * amxTile
}

// amxMultiply computes c, one after the other the 16×32 sums of an even number of runs:
//
//	for r in runs, i in 0..16, j in 0..32:
//	    s = start ? (bias ? bias[j] : 0) : c[r][i][j]
//	    for q in steps: s += Σ_even + Σ_odd of A[r][i][q][k]·B[q][k][j], k in 0..32
//	    c[r][i][j] = s
//
// With split, the sums over k are made three times a step: of the larger parts of A and the smaller of B, of both larger parts, and of
// the smaller parts of A and the larger of B. It panics if a slice is too short, since the assembly does not check.
func amxMultiply(c []float32, a *amxA, b []uint16, bias []float32, start bool) {
	runs, steps := len(a.starts), len(a.offsets)
	if runs%2 != 0 || steps == 0 {
		panic("kernel: amxMultiply: an odd number of runs, or no terms")
	}
	if runs == 0 {
		return
	}
	first, last := 0, 0
	for _, s := range a.starts {
		first, last = min(first, s), max(last, s)
	}
	low, high := 0, 0
	for _, o := range a.offsets {
		low, high = min(low, o), max(high, o)
	}
	_ = a.data[first+low]
	_ = a.data[last+high+a.split+(amxRows-1)*a.ld+amxTerms-1]
	_ = b[steps*amxStep(a.split != 0)-1]
	_ = c[runs*amxRun-1]
	if bias != nil {
		_ = bias[amxPanel-1]
	}
	if Current() >= AMX || Current() >= AVX512BF16 && a.split == 0 {
		amxMultiplySIMD(c, a, b, bias, start)
		return
	}
	amxMultiplyGeneric(c, a, b, bias, start)
}

// amxMultiplyGeneric is amxMultiply in plain Go, with the rounding of the processor's instruction.
func amxMultiplyGeneric(c []float32, a *amxA, b []uint16, bias []float32, start bool) {
	for r, from := range a.starts {
		sums := c[r*amxRun:][:amxRun]
		if start {
			clear(sums)
			for i := 0; i < amxRun && bias != nil; i += amxPanel {
				copy(sums[i:], bias[:amxPanel])
			}
		}
		for q, o := range a.offsets {
			in := a.data[from+o:]
			if a.split == 0 {
				amxAdd(sums, in, b[q*2*amxTile:], a.ld)
				continue
			}
			tiles := b[q*4*amxTile:]
			amxAdd(sums, in, tiles, a.ld)
			amxAdd(sums, in, tiles[2*amxTile:], a.ld)
			amxAdd(sums, in[a.split:], tiles[2*amxTile:], a.ld)
		}
	}
}

// amxAdd adds the products of 16 rows of A, ld numbers apart, with two tiles of B to 16×32 sums.
func amxAdd(c []float32, a, b []uint16, ld int) {
	for i := range amxRows {
		row := a[i*ld:][:amxTerms]
		for j := range amxPanel {
			tile := b[j/amxRows*amxTile+j%amxRows*2:]
			var even, odd float32
			for k := 0; k < amxTerms; k += 2 {
				even += fromBF16(row[k]) * fromBF16(tile[k/2*amxTerms])
				odd += fromBF16(row[k+1]) * fromBF16(tile[k/2*amxTerms+1])
			}
			c[i*amxPanel+j] += even + odd
		}
	}
}

// amxNarrow rounds rows rows of cols ≤ 32 floats, ld apart, to bfloat16 and writes them to dst, 32 numbers a row, of which those from cols
// on become 0. With split, what the rounding left goes to dst[split:] in the same way.
func amxNarrow(dst []uint16, split int, src []float32, ld, rows, cols int) {
	if rows == 0 {
		return
	}
	_, _ = dst[split+rows*amxTerms-1], src[(rows-1)*ld+cols-1]
	if Current() >= AVX512BF16 {
		amxNarrowSIMD(dst, split, src, ld, rows, cols)
		return
	}
	amxNarrowGeneric(dst, split, src, ld, rows, cols)
}

func amxNarrowGeneric(dst []uint16, split int, src []float32, ld, rows, cols int) {
	for r := range rows {
		out, in := dst[r*amxTerms:], src[r*ld:]
		for c := range amxTerms {
			v := float32(0)
			if c < cols {
				v = in[c]
			}
			h := toBF16(v)
			out[c] = h
			if split != 0 {
				out[split+c] = toBF16(v - fromBF16(h))
			}
		}
	}
}

// amxPair makes the tiles of one step of B from rows ≤ 32 rows, ld apart, of cols ≤ 32 floats: two, or four with split. What is missing
// counts as 0.
func amxPair(dst []uint16, split bool, src []float32, ld, rows, cols int) {
	_, _ = dst[amxStep(split)-1], src[(rows-1)*ld+cols-1]
	if Current() >= AVX512BF16 {
		amxPairSIMD(dst, split, src, ld, rows, cols)
		return
	}
	amxPairGeneric(dst, split, src, ld, rows, cols)
}

func amxPairGeneric(dst []uint16, split bool, src []float32, ld, rows, cols int) {
	for k := range amxTerms {
		for j := range amxPanel {
			v := float32(0)
			if k < rows && j < cols {
				v = src[k*ld+j]
			}
			at := j/amxRows*amxTile + k/2*amxTerms + j%amxRows*2 + k%2
			h := toBF16(v)
			if split {
				dst[at] = toBF16(v - fromBF16(h))
				at += 2 * amxTile
			}
			dst[at] = h
		}
	}
}

// amxTurn is amxPair for a matrix that lies transposed: cols rows, ld apart, of rows floats. buf has room for amxStep numbers.
func amxTurn(dst, buf []uint16, split bool, src []float32, ld, rows, cols int) {
	if !split {
		amxNarrow(buf, 0, src, ld, cols, rows)
		clear(buf[cols*amxTerms : 2*amxTile])
		turnPairs(dst, buf)
		return
	}
	amxNarrow(buf, 2*amxTile, src, ld, cols, rows)
	clear(buf[cols*amxTerms : 2*amxTile])
	clear(buf[2*amxTile+cols*amxTerms : 4*amxTile])
	turnPairs(dst, buf[2*amxTile:])
	turnPairs(dst[2*amxTile:], buf)
}

// turnPairs transposes 32 rows of 16 pairs of numbers into two tiles of 16 rows of 16 pairs.
func turnPairs(dst, src []uint16) {
	d, s := pairsOf(dst[:2*amxTile]), pairsOf(src[:2*amxTile])
	for half := range 2 {
		transpose(d[half*amxTile/2:], amxRows, s[half*amxTile/2:], amxRows, amxRows, amxRows)
	}
}
