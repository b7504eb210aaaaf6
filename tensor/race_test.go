//go:build race

package tensor_test

// raceDetector: under it sync.Pool throws buffers away at random, to provoke races.
const raceDetector = true
