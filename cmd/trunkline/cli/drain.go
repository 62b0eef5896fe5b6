package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"trunkline/internal/service"
	"trunkline/relay"
)

const (
	drainLook = time.Second
	// drainSilence is for how long a relay that drains need not answer: it may
	// have very much to do.
	drainSilence = 10 * time.Second
)

func drainCommand() *cobra.Command {
	admin := relay.Default().Admin
	c := &cobra.Command{
		Use: "drain", Short: "Empty a relay and end it, as SIGTERM does, and show how that goes", Args: noArgs,
		Long: "Empty the relay whose admin listener is at --admin, on this machine, and end it, as SIGTERM does: it is not ready,\n" +
			"agents move to other relays, requests run to their end. What still runs at drain.deadline is cut.\n\n" +
			"Under systemd, with our units, it stays ended until `systemctl start`.\n\n" +
			"Shows what is left until the relay has ended. Ctrl-C ends the showing: the relay goes on draining.",
		Example: "  trunkline relay drain\n  trunkline relay drain --admin 127.0.0.1:9702",
		RunE: func(c *cobra.Command, _ []string) error {
			return drain(c.Context(), c.OutOrStdout(), admin)
		},
	}
	c.Flags().StringVar(&admin, "admin", admin, "the relay's admin listener, host:port")
	return c
}

func drain(ctx context.Context, out io.Writer, admin string) error {
	d, err := service.AskDrain(ctx, admin, true)
	if err != nil {
		return err
	}
	name, heard := d.Relay, time.Now()
	for last := ""; ; {
		// Only what changes is worth a line.
		if now := fmt.Sprintf("%d tunnels, %d requests, %d downloads, %d WebSockets", d.Tunnels, d.Requests, d.Downloads, d.WebSockets); now != last {
			fmt.Fprintf(out, "%s drains: %s left; %v to the deadline\n", name, now, (time.Duration(d.Left) * time.Second))
			last = now
		}
		select {
		case <-ctx.Done():
			fmt.Fprintf(out, "%s goes on draining\n", name)
			return nil
		case <-time.After(drainLook):
		}
		look, cancel := context.WithTimeout(ctx, drainSilence)
		next, err := service.AskDrain(look, admin, false)
		cancel()
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, syscall.ECONNREFUSED), err == nil && (!next.Draining || next.Relay != name): // and been started again
			fmt.Fprintf(out, "%s has ended\n", name)
			return nil
		case err == nil:
			d, heard = next, time.Now()
		case time.Since(heard) > drainSilence:
			return fmt.Errorf("%s drains, and has not said how for %v: %w", name, drainSilence, err)
		}
	}
}
