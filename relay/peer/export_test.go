package peer

import "time"

// SetPing is for links that are made from then on.
func (p *Peers) SetPing(every time.Duration) { p.ping.Store(int64(every)) }

// PingEvery is what it is otherwise.
const PingEvery = pingEvery
