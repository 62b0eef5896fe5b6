//go:build race

package relay_test

const (
	raceDetector = true
	// They take ten times as long: make test has all of them without it.
	tunnels, downloads, stalledDownloads = 200, 100, 50
)
