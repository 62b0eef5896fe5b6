//go:build !linux

package evtls

import "errors"

// loop is for Linux only: there are none elsewhere.
type loop struct{}

func newLoop() (*loop, error) { return nil, errors.ErrUnsupported }

func (*loop) run() error        { return errors.ErrUnsupported }
func (*loop) watch(*Conn) error { return errors.ErrUnsupported }
func (*loop) wake(*Conn)        {}
func (*loop) forget(*Conn)      {}
func (*loop) later(func())      {}
func (*loop) close()            {}
