package edge

import "time"

type Bucket = bucket

func (b *bucket) Take(cost, burst, maxDebt time.Duration, now time.Time) time.Duration {
	return b.take(cost, burst, maxDebt, now)
}

func (b *bucket) Try(cost, burst time.Duration, now time.Time) time.Duration {
	return b.try(cost, burst, now)
}

// Quotas is how many devices and accounts are remembered.
func (e *Edge) Quotas() (n int) {
	for _, all := range []*quotas{e.live.Load().byDevice, e.live.Load().byAccount} {
		for i := range all.drawers {
			d := &all.drawers[i]
			d.mu.Lock()
			n += len(d.of)
			d.mu.Unlock()
		}
	}
	return n
}
