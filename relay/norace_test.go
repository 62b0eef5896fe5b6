//go:build !race

package relay_test

const (
	raceDetector                = false
	downloads, stalledDownloads = 1000, 200
)
