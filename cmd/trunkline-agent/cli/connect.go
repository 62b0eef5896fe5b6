package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"trunkline/agent"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/service"
)

// maxPassword is what control takes.
const maxPassword = 1024

// connectFlags are what a person says about this PBX and the provider.
type connectFlags struct {
	settings
	server, ca, email   string
	passwordFile        string
	passwordStdin       bool
	sn, model, firmware string
}

func connectCommand() *cobra.Command {
	var f connectFlags
	c := &cobra.Command{
		Use:   "connect --server URL --email ADDRESS",
		Short: "Activate this PBX with the provider",
		Long: "Activates this PBX with the provider, by the e-mail address and password of one of the provider's users.\n" +
			"The password is asked for, or read from a file or standard input; it is not kept.\n" +
			"Running it again is harmless: the PBX stays the same device.",
		Example: "  trunkline-agent connect --server https://console.example.com --email tech@example.com \\\n" +
			"    --sn 3631A2345678 --model 'P-Series Appliance Edition' --firmware 37.19.0.110",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.connect(c) },
	}
	f.add(c)
	fl := c.Flags()
	fl.StringVar(&f.server, "server", "", "the provider's console, https://...")
	fl.StringVar(&f.ca, "ca", "", "PEM file with the CA of the provider's certificates, if no public one signs them")
	fl.StringVar(&f.email, "email", "", "e-mail address of the provider's user")
	fl.StringVar(&f.passwordFile, "password-file", "", "file whose first line is that user's password")
	fl.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from standard input")
	fl.StringVar(&f.sn, "sn", "", "the PBX's serial number")
	fl.StringVar(&f.model, "model", "", "the PBX's model")
	fl.StringVar(&f.firmware, "firmware", "", "the PBX's firmware version")
	fl.StringVar(&f.portal, "portal", "", "the PBX's web portal, as http:// or https://host:port (default "+agent.DefaultPortal+")")
	return c
}

func (f *connectFlags) connect(c *cobra.Command) error {
	if f.passwordFile != "" && f.passwordStdin {
		return service.Usagef("give --password-file or --password-stdin, not both")
	}
	cfg, err := f.load(c)
	if err != nil {
		return err
	}
	q := agent.Activation{
		Data: cfg.Data, Server: or(f.server, cfg.Server), CAFile: or(f.ca, cfg.CAFile), Email: f.email, Portal: cfg.Portal.URL,
		Serial: cfg.Device.Serial, Model: or(f.model, cfg.Device.Model), Firmware: or(f.firmware, cfg.Device.Firmware),
	}
	if f.sn != "" {
		var sn id.Serial
		if err := sn.UnmarshalText([]byte(f.sn)); err != nil {
			return service.Usagef("--sn: %w", err)
		}
		q.Serial = sn
	}
	// Before the password: nobody likes to type one for nothing.
	if err := q.CheckPublic(); err != nil {
		return mistake(err)
	}
	if q.Password, err = f.password(c); err != nil {
		return err
	}
	log, err := service.Logger(cfg.Log.Level, "console")
	if err != nil {
		return err
	}
	i, err := agent.Activate(c.Context(), q, log)
	if err != nil {
		return mistake(err)
	}
	report(c, cfg, i)
	return nil
}

// sources say where a field of an activation comes from.
var sources = map[string]string{
	"server":   "--server, or server in the configuration file",
	"email":    "--email",
	"serial":   "--sn, or device.serial in the configuration file",
	"model":    "--model, or device.model in the configuration file",
	"firmware": "--firmware, or device.firmware in the configuration file",
	"ca":       "--ca, or ca_file in the configuration file",
	"portal":   "--portal, or portal.url in the configuration file",
}

// mistake is err as a usage error that names the flag, if it is a mistake in
// what was given.
func mistake(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != fault.Invalid {
		return err
	}
	if from, ok := sources[f.Field]; ok {
		return service.Usagef("%s (%s)", agent.Printable(f.Message), from)
	}
	return service.Usagef("%s", agent.Printable(f.Message))
}

// report says what happened and what to do next.
func report(c *cobra.Command, cfg agent.Config, i agent.Identity) {
	out := c.OutOrStdout()
	fmt.Fprintf(out, "This PBX is connected to %s.\n", agent.Printable(i.Account))
	fmt.Fprintf(out, "  name    %s\n  site    %s\n  device  %s\n  kept in %s\n", agent.Printable(i.Name), i.Site, i.Device, cfg.Data)
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

// password reads the password from where the flags say, or asks for it.
func (f *connectFlags) password(c *cobra.Command) (string, error) {
	switch {
	case f.passwordFile != "":
		file, err := os.Open(f.passwordFile)
		if err != nil {
			return "", service.Usagef("--password-file: %w", err)
		}
		defer file.Close()
		return readPassword(file)
	case f.passwordStdin:
		return readPassword(c.InOrStdin())
	}
	return prompt(c.Context(), c.ErrOrStderr())
}

func readPassword(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPassword+3))
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case line == "":
		return "", service.Usagef("the password is empty")
	case len(line) > maxPassword:
		return "", service.Usagef("the password is longer than %d characters", maxPassword)
	}
	return line, nil
}

// prompt asks on the terminal without echo. A signal gives the terminal its
// echo back; the read that it leaves behind ends with the process.
func prompt(ctx context.Context, out io.Writer) (string, error) {
	fd := int(os.Stdin.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", service.Usagef("there is no terminal to ask for the password on: give --password-file or --password-stdin")
	}
	type answer struct {
		b   []byte
		err error
	}
	fmt.Fprint(out, "Password: ")
	got := make(chan answer, 1)
	go func() {
		b, err := term.ReadPassword(fd)
		got <- answer{b, err}
	}()
	select {
	case a := <-got:
		fmt.Fprintln(out)
		if a.err != nil {
			return "", fmt.Errorf("read password: %w", a.err)
		}
		return readPassword(strings.NewReader(string(a.b)))
	case <-ctx.Done():
		fmt.Fprintln(out)
		return "", errors.Join(errors.New("interrupted"), term.Restore(fd, state))
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
