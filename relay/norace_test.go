//go:build !race

package relay_test

const (
	raceDetector                         = false
	tunnels, downloads, stalledDownloads = 1000, 1000, 200
	pooled                               = 16 // MiB
)
