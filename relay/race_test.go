//go:build race

package relay_test

const (
	raceDetector = true
	// They take ten times as long: make test has all of them without it.
	tunnels, downloads, stalledDownloads = 200, 100, 50
	// MiB that pools hold whatever comes: under it they forget what they have.
	pooled = 32
)
