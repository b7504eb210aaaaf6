//go:build !race

package unet_test

const raceDetector = false
