package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trunkline/agent"
	"trunkline/agent/manage"
	"trunkline/internal/service"
)

// connectFlags are what a person says about this PBX and the provider.
type connectFlags struct {
	settings
	passwordFlags
	server, ca, email, code string
	sn, model, firmware     string
}

func connectCommand() *cobra.Command {
	var f connectFlags
	c := &cobra.Command{
		Use:   "connect --server URL (--email ADDRESS | --code CODE)",
		Short: "Activate this PBX with the provider",
		Long: "Activates this PBX with the provider, by the e-mail address and password of one of the provider's users, or by\n" +
			"an authentication code that the provider made for it. The password is asked for, or read from a file or standard\n" +
			"input; it is not kept. An agent that runs connects at once. Running it again is harmless: the PBX stays the same device.",
		Example: "  trunkline-agent connect --server https://console.example.com --email tech@example.com \\\n" +
			"    --sn 3631A2345678 --model 'P-Series Appliance Edition' --firmware 37.19.0.110",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.connect(c) },
	}
	f.settings.add(c)
	f.passwordFlags.add(c, "that user's password")
	fl := c.Flags()
	fl.StringVar(&f.server, "server", "", "the provider's console: host, host:port or https://... (default: default_server)")
	fl.StringVar(&f.ca, "ca", "", "PEM file with the CA of the provider's certificates, if no public one signs them")
	fl.StringVar(&f.email, "email", "", "e-mail address of the provider's user")
	fl.StringVar(&f.code, "code", "", "authentication code from the provider")
	fl.StringVar(&f.sn, "sn", "", "the PBX's serial number")
	fl.StringVar(&f.model, "model", "", "the PBX's model")
	fl.StringVar(&f.firmware, "firmware", "", "the PBX's firmware version")
	fl.StringVar(&f.portal, "portal", "", "the PBX's web portal, as http:// or https://host:port (default "+agent.DefaultPortal+")")
	return c
}

func (f *connectFlags) connect(c *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	cfg, err := f.load(c)
	if err != nil {
		return err
	}
	q, err := f.activation(c, cfg)
	if err != nil {
		return err
	}
	return atDesk(c, cfg, func(ctx context.Context, desk manage.Desk, running bool) error {
		if err := desk.Change(ctx, manage.Change{Connect: &q}); err != nil {
			return err
		}
		v, err := desk.View(ctx)
		if err == nil {
			report(c, cfg, v, running)
		}
		return err
	})
}

// activation is what the flags and the configuration say, with the secret.
func (f *connectFlags) activation(c *cobra.Command, cfg agent.Config) (manage.Activation, error) {
	q := manage.Activation{
		ServerType: manage.CustomServer, Server: or(f.server, cfg.Server), Method: manage.ByEmail, Email: f.email, Code: f.code,
		Serial: cfg.Device.Serial, Model: or(f.model, cfg.Device.Model), Firmware: or(f.firmware, cfg.Device.Firmware), Portal: cfg.Portal.URL,
	}
	if q.Server == "" && cfg.DefaultServer != "" {
		q.ServerType, q.Server = manage.DefaultServer, cfg.DefaultServer
	}
	if f.code != "" {
		if q.Method = manage.ByCode; f.email != "" || f.given() {
			return q, service.Usagef("give --code, or --email and its password, not both")
		}
	}
	if f.sn != "" {
		if err := q.Serial.UnmarshalText([]byte(f.sn)); err != nil {
			return q, service.Usagef("--sn: %w", err)
		}
	}
	var err error
	if q.CA, err = agent.ReadCA(or(f.ca, cfg.CAFile)); err != nil {
		return q, outcome(err)
	}
	// Before the password: nobody likes to type one for nothing.
	if err := q.CheckPublic(); err != nil {
		return q, outcome(err)
	}
	if q.Method == manage.ByEmail {
		q.Password, err = f.password(c, "Password: ")
	}
	return q, err
}

// report says what happened and what to do next.
func report(c *cobra.Command, cfg agent.Config, v manage.View, running bool) {
	out, s := c.OutOrStdout(), v.Status
	fmt.Fprintf(out, "This PBX is connected to %s.\n", agent.Printable(s.Account))
	fmt.Fprintf(out, "  name    %s\n  site    %s\n  device  %s\n  kept in %s\n", agent.Printable(s.Name), s.Site, s.Device, cfg.Data)
	if running {
		fmt.Fprintf(out, "The agent that runs goes on with it; see `trunkline-agent status%s`.\n", runFlags(c))
		return
	}
	if err := agent.CheckPortal(c.Context(), cfg.Portal); err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "Warning: the PBX's web portal cannot be reached now: %v\n", err)
	}
	fmt.Fprintf(out, "Next: start the agent with `trunkline-agent run%s`.\n", runFlags(c))
}

// runFlags are those of connect's that run needs to find the same files.
func runFlags(c *cobra.Command) string {
	var b strings.Builder
	for _, name := range []string{"config", "data"} {
		if f := c.Flags().Lookup(name); f.Changed {
			fmt.Fprintf(&b, " --%s %s", name, f.Value)
		}
	}
	return b.String()
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
