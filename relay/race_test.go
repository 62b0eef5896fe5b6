//go:build race

package relay_test

const (
	raceDetector = true
	// downloads take ten times as long: make test has all of them without it.
	downloads, stalledDownloads = 200, 50
)
