package page

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"trunkline/agent/manage"
)

const (
	minPassword = 8
	// Wrong passwords: so many at once, and one per triesEvery in the long run.
	// All browsers share them: on loopback they have one address.
	triesAtOnce = 10
	triesEvery  = 6 * time.Second
)

var (
	errWrong     = errors.New("wrong password")
	errThrottled = errors.New("too many wrong passwords")
	errSet       = errors.New("the password is set already")
)

// lock is the page's password. One hash is computed at a time: a PBX has the
// memory for one.
type lock struct {
	store Password
	tries *rate.Limiter

	mu   sync.Mutex // held while hashing
	hash string     // "": not read yet, or none
}

func newLock(p Password) *lock {
	return &lock{store: p, tries: rate.NewLimiter(rate.Every(triesEvery), triesAtOnce)}
}

func (l *lock) load() (string, error) {
	if l.hash != "" {
		return l.hash, nil
	}
	h, err := l.store.Load()
	if err == nil && h != "" && !manage.ValidHash(h) {
		err = errors.New("the page's password is damaged")
	}
	if err == nil {
		l.hash = h
	}
	return h, err
}

// isSet tells whether there is a password. One that cannot be read counts as
// set: damage must not let the next visitor choose one.
func (l *lock) isSet() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, err := l.load()
	return h != "" || err != nil, err
}

// set stores the first password; of two at once, one gets errSet.
func (l *lock) set(password string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch h, err := l.load(); {
	case err != nil:
		return err
	case h != "":
		return errSet
	}
	h := manage.Hash(password)
	if err := l.store.Store(h); err != nil {
		return err
	}
	l.hash = h
	return nil
}

// try is nil for the right password. Only wrong ones count.
func (l *lock) try(password string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tries.Tokens() < 1 {
		return errThrottled
	}
	h, err := l.load()
	if err != nil {
		return err
	}
	if !manage.Matches(h, password) {
		l.tries.Allow()
		return errWrong
	}
	return nil
}

func (l *lock) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hash = ""
}
