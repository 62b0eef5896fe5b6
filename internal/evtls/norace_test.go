//go:build !race

package evtls_test

const raceDetector = false
