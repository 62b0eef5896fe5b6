package service

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"trunkline/internal/fault"
)

// Drain is how a relay's drain stands: what /drain of its admin listener says.
type Drain struct {
	Relay      string  `json:"relay"`
	Draining   bool    `json:"draining"`
	Left       float64 `json:"left_seconds"` // until the deadline
	Tunnels    int     `json:"tunnels"`
	Requests   int     `json:"requests"`  // that wait for their answer to begin
	Downloads  int     `json:"downloads"` // answers on their way
	WebSockets int     `json:"websockets"`
}

const maxDrainPage = 64 << 10

// AskDrain asks the relay whose admin listener is at admin, host:port, how its
// drain stands, and first to begin one if begin. What it refuses is a fault.
func AskDrain(ctx context.Context, admin string, begin bool) (Drain, error) {
	method := http.MethodGet
	if begin {
		method = http.MethodPost
	}
	q, err := http.NewRequestWithContext(ctx, method, "http://"+admin+"/drain", http.NoBody)
	if err != nil {
		return Drain{}, err
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return Drain{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var p fault.Problem
		if err := json.NewDecoder(io.LimitReader(resp.Body, maxDrainPage)).Decode(&p); err == nil && p.Code != "" {
			return Drain{}, p.Fault()
		}
		return Drain{}, fmt.Errorf("what answers at %s is no relay's admin listener: %s", admin, resp.Status)
	}
	var d Drain
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDrainPage)).Decode(&d); err != nil {
		return Drain{}, fmt.Errorf("what answers at %s is no relay's admin listener: %w", admin, err)
	}
	return d, nil
}
