package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coder/websocket"

	"trunkline/internal/controlapi"
	"trunkline/internal/pbxsim"
	"trunkline/internal/visitor"
)

// check is the main job, once: visit, page, sign-in, WebSocket.
func (d *demo) check(ctx context.Context, dev controlapi.Device) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	start, err := d.api.StartVisit(ctx, controlapi.VisitRequest{Device: dev.ID})
	if err != nil {
		return fmt.Errorf("start visit: %w", err)
	}
	v, err := visitor.Enter(ctx, d.planes.tls(), d.planes.consoleURL(), start)
	if err != nil {
		return err
	}
	d.step("visit opened", v.Origin)
	page, err := v.Fetch(ctx, "/login")
	if err != nil {
		return fmt.Errorf("fetch a page: %w", err)
	}
	if !strings.Contains(string(page), "<form") {
		return fmt.Errorf("fetch a page: the portal's sign-in page has no form in it")
	}
	d.step("page fetched", fmt.Sprintf("%d bytes of the portal's sign-in page", len(page)))
	if err := pbxsim.SignIn(ctx, v.Client, v.Origin, adminUser, adminPassword); err != nil {
		return fmt.Errorf("sign in at the PBX: %w", err)
	}
	if page, err = v.Fetch(ctx, "/"); err != nil || !strings.Contains(string(page), `<strong id="whoami">`+adminUser) {
		return errors.Join(errors.New("the portal does not know who has signed in"), err)
	}
	d.step("signed in at the PBX", adminUser+", the account that was set at its agent")
	if err := echo(ctx, v); err != nil {
		return fmt.Errorf("WebSocket: %w", err)
	}
	d.step("WebSocket echo", "text and 64 KiB binary")
	if err := d.api.EndVisit(ctx, start.Visit.ID); err != nil {
		return fmt.Errorf("end visit: %w", err)
	}
	d.step("visit ended", "")
	return nil
}

func echo(ctx context.Context, v *visitor.Visitor) error {
	ws, err := v.WebSocket(ctx, "/ws/echo")
	if err != nil {
		return err
	}
	defer func() { _ = ws.CloseNow() }() // closed in order below, if all went well
	ws.SetReadLimit(1 << 20)
	for kind, message := range map[websocket.MessageType][]byte{
		websocket.MessageText:   []byte("hello, PBX"),
		websocket.MessageBinary: bytes.Repeat([]byte{0, 255, 7}, 64<<10/3),
	} {
		if err := ws.Write(ctx, kind, message); err != nil {
			return err
		}
		gotKind, got, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		if gotKind != kind || !bytes.Equal(got, message) {
			return fmt.Errorf("%d bytes came back as %d others", len(message), len(got))
		}
	}
	return ws.Close(websocket.StatusNormalClosure, "")
}
