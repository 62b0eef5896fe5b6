package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// Limits are how many requests a minute are served; 0 is any number.
type Limits struct {
	User    int `yaml:"user"`    // of one user, and of each API token
	Address int `yaml:"address"` // from one address, of those who are not signed in
	Agents  int `yaml:"agents"`  // activations and renewals from one address, behind which may be thousands of PBXs
}

func DefaultLimits() Limits { return Limits{User: 6000, Address: 600, Agents: 60000} }

// Validate names the key that is wrong.
func (l Limits) Validate() error {
	for key, n := range map[string]int{"user": l.User, "address": l.Address, "agents": l.Agents} {
		if n < 0 {
			return fmt.Errorf("%s: %d is less than 0", key, n)
		}
	}
	return nil
}

const (
	window = time.Minute
	// maxBuckets bounds the memory that strangers can make us spend. Whoever
	// has more addresses than that is not held up by a limit for each.
	maxBuckets = 1 << 15
)

// limiter is a token bucket for each of many parties, full at the beginning,
// that fills in one window. A party that was not seen for a window has a full
// bucket, and is forgotten: so two generations of buckets do, and no search.
type limiter struct {
	name  string
	quota func() int

	mu     sync.Mutex // guards all below
	young  map[string]bucket
	old    map[string]bucket
	turned time.Time // when young began
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimiter(name string, quota func() int) *limiter {
	return &limiter{name: name, quota: quota, young: map[string]bucket{}}
}

// take takes a token of key's, and says how many are left and, if there was
// none, when the next will be.
func (l *limiter) take(now time.Time, key string, quota int) (left int, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.turned) >= window || len(l.young) >= maxBuckets {
		l.old, l.young, l.turned = l.young, map[string]bucket{}, now
	}
	b, ok := l.young[key]
	if !ok {
		if b, ok = l.old[key]; !ok {
			b = bucket{tokens: float64(quota), at: now}
		}
	}
	rate := float64(quota) / window.Seconds()
	b.tokens = min(float64(quota), b.tokens+max(0, now.Sub(b.at).Seconds())*rate)
	b.at = now
	if b.tokens >= 1 {
		b.tokens--
	} else {
		wait = time.Duration((1 - b.tokens) / rate * float64(time.Second))
	}
	l.young[key] = b
	return int(b.tokens), wait
}

// pass lets one request of key's through, or errs with fault.TooMany. The
// answer's headers say so either way (draft-ietf-httpapi-ratelimit-headers).
func (l *limiter) pass(h http.Header, key string) error {
	quota := l.quota()
	if quota == 0 {
		return nil
	}
	left, wait := l.take(time.Now(), key, quota)
	seconds := int(window.Seconds())
	refill := ((quota-left)*seconds + quota - 1) / quota
	h.Set("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%d`, l.name, quota, seconds))
	h.Set("RateLimit", `"`+l.name+`";r=`+strconv.Itoa(left)+`;t=`+strconv.Itoa(refill))
	if wait > 0 {
		return fault.New(fault.TooMany, "More than %d requests a minute. Ask less often.", quota).After(wait)
	}
	return nil
}

// limits are the limiters of all who ask.
type limits struct{ users, strangers, agents *limiter }

func newLimits(now func() Limits) limits {
	return limits{
		users:     newLimiter("user", func() int { return now().User }),
		strangers: newLimiter("address", func() int { return now().Address }),
		agents:    newLimiter("agents", func() int { return now().Agents }),
	}
}

// stranger is for whoever is not signed in, or says so wrongly: a person who
// is pays nothing for the guesses that others make behind the same address.
func (l limits) stranger(h http.Header, rt route, remote netip.Addr) error {
	if rt.agents {
		return l.agents.pass(h, party(remote))
	}
	return l.strangers.pass(h, party(remote))
}

func (l limits) user(h http.Header, who fleet.Principal) error {
	return l.users.pass(h, string(who.User)+" "+string(who.Token))
}

// party is what one party can hold: an IPv4 address, or an IPv6 /64.
func party(a netip.Addr) string {
	if a = a.Unmap().WithZone(""); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// unknown reports whether err says that nobody is signed in.
func unknown(err error) bool { return errors.Is(err, &fault.Error{Code: fault.SignInNeeded}) }
