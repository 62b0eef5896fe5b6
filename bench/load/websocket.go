package load

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"trunkline/bench/portal"
)

// Upgrade makes the connection a WebSocket's.
func (w *Wire) Upgrade(path string) error {
	const key = "dHJ1bmtsaW5lIGJlbmNoIQ=="
	err := w.Send("GET", path, 0, nil, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: "+key, "Origin: https://"+w.host())
	if err != nil {
		return err
	}
	status, _, err := w.answer()
	if err != nil || status != 101 {
		return errors.Join(err, fmt.Errorf("upgrade of %s: status %d", path, status))
	}
	return nil
}

// Echo sends a message and takes the same back.
func (w *Wire) Echo(message []byte) error {
	w.c.SetDeadline(time.Now().Add(wirePatient))
	w.head = portal.AppendFrame(w.head[:0], portal.FrameText, portal.Masked, message)
	if _, err := w.c.Write(w.head); err != nil {
		return err
	}
	kind, got, err := portal.ReadFrame(w.r, w.frame)
	if err != nil {
		return fmt.Errorf("echo: %w", err)
	}
	w.frame = got
	if kind != portal.FrameText || !bytes.Equal(got, message) {
		return portal.ErrFrame
	}
	return nil
}
