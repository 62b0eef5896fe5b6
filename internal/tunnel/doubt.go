package tunnel

import "time"

// doubt is whether the other end answers, long before it counts as gone. The
// session's timers guard it.
type doubt struct {
	tell  func(times int) // called when nothing comes after a ping, and again while nothing does
	asked time.Duration   // when that ping went, since the session's start; 0: it was answered, by whatever bytes
	times int             // tell was called since then
}

// doubtIn says when to look again whether a ping was answered. The timers are
// locked.
func (t *session) doubtIn() time.Duration {
	d := t.doubt
	if d.asked == 0 || t.heardSince(d.asked) {
		d.asked = 0
		return t.patient
	}
	every := t.patient * 2 / 9
	due := d.asked + every*time.Duration(d.times+1) - time.Since(t.start)
	if due <= 0 {
		d.times++
		d.tell(d.times)
		due += every
	}
	return max(due, time.Millisecond)
}

func (t *session) heardSince(at time.Duration) bool { return time.Duration(t.heard.Load()) >= at }

// isDoubtful reports whether the last ping has been without an answer for longer
// than a line takes that is only slow.
func (t *session) isDoubtful() bool {
	t.timers.Lock()
	defer t.timers.Unlock()
	d := t.doubt
	return d != nil && d.asked != 0 && d.times > 0 && !t.heardSince(d.asked)
}
