package placement

import "time"

// Pace holds a number that goes by the minute to it, in looks shorter than a
// minute: what is too little for one look adds up over several. The zero value
// is ready, and it is not safe for concurrent use.
type Pace struct{ seconds int } // of a minute's number, beyond what was taken

// Take is how many of want may go now, perMinute being the most in a minute
// and since the time since the look before, in whole seconds. What was not
// wanted is not saved: there is no burst after a quiet hour.
func (p *Pace) Take(want, perMinute int, since time.Duration) int {
	p.seconds += perMinute * int(since/time.Second)
	n := p.seconds / 60
	p.seconds %= 60
	return min(want, n)
}
