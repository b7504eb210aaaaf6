package kernel

// PeakTurn is how many floating-point operations a turn of PeakLoop counts, a multiply-add being two.
func PeakTurn() int {
	switch Current() {
	case AMX:
		return 2 * 4 * amxRows * amxRows * amxTerms
	case AVX512BF16:
		return 2 * 16 * 32
	case AVX512:
		return 2 * 24 * 16
	case AVX2:
		return 2 * 12 * 8
	}
	return 2 * 8
}

// PeakLoop does turns turns of multiply-adds in registers, with nothing to load or store, at the level in use and on this goroutine: as
// many independent sums as the CPU needs to start a multiply-add on every unit in every cycle. Timed, it gives the most that any
// kernel of the level can reach. Each of the sums ends as turns/2, and PeakLoop returns one of them.
//
//	for i in 0..turns, for each sum: s += 0.5 * 1
func PeakLoop(turns int) float32 {
	if turns <= 0 {
		return 0
	}
	if s, ok := peakSIMD(turns); ok {
		return s
	}
	return peakGeneric(turns)
}

// peakGeneric is PeakLoop in plain Go.
func peakGeneric(turns int) float32 {
	x, y := float32(0.5), float32(1)
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for range turns {
		s0 += x * y
		s1 += x * y
		s2 += x * y
		s3 += x * y
		s4 += x * y
		s5 += x * y
		s6 += x * y
		s7 += x * y
		x, y = y*0.5, x*2 // the same values, which the compiler does not know
	}
	return max(s0, s1, s2, s3, s4, s5, s6, s7)
}
