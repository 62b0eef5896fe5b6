package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"trunkline/agent"
	"trunkline/agent/manage"
	"trunkline/agent/page"
	"trunkline/internal/id"
	"trunkline/internal/service"
)

func accessCommand() *cobra.Command {
	turn := func(on bool, use, short, words string) *cobra.Command {
		return changing(&cobra.Command{Use: use, Short: short, Args: noArgs}, func(*cobra.Command, []string) (manage.Change, string, error) {
			return manage.Change{On: &on}, words, nil
		})
	}
	return branch("access", "Remote access: on, off, and how it stands",
		turn(true, "on", "Let the provider in again", "Remote access is on."),
		turn(false, "off", "End the connection, and let nobody in until it is on again", "Remote access is off."),
		viewing(&cobra.Command{Use: "show", Short: "Show who may come in, and how", Args: noArgs}, showAccess))
}

func showAccess(out io.Writer, v manage.View) error {
	onOff := map[bool]string{true: "on", false: "off"}
	access := onOff[!v.Off]
	if v.Off && !v.OffSince.IsZero() {
		access += ", since " + v.OffSince.Local().Format(time.RFC1123)
	}
	account := "none"
	if v.Account != "" {
		account = v.Account
	}
	_, err := fmt.Fprintf(out, "%-18s %s\n%-18s %s\n%-18s %s\n%-18s %d minutes\n", "Remote access", access,
		"Account Login", agent.Printable(account), "Passwordless Login", onOff[v.Passwordless], "Auto Logout Time", v.AutoLogout)
	if err == nil && v.Passwordless && v.Barred != "" {
		_, err = fmt.Fprintf(out, "%-18s %s\n", "", agent.Printable(v.Barred))
	}
	return err
}

// viewing is a command that shows something of the view.
func viewing(c *cobra.Command, show func(io.Writer, manage.View) error) *cobra.Command {
	var s settings
	var asJSON bool
	s.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := s.load(c)
		if err != nil {
			return err
		}
		return atDesk(c, cfg, func(ctx context.Context, desk manage.Desk, _ bool) error {
			v, err := desk.View(ctx)
			switch {
			case err != nil:
				return err
			case asJSON:
				return json.NewEncoder(c.OutOrStdout()).Encode(v)
			}
			return show(c.OutOrStdout(), v)
		})
	}
	return c
}

func visitsCommand() *cobra.Command {
	c := viewing(&cobra.Command{Use: "visits", Short: "Show who is in now and who was", Args: noArgs}, showVisits)
	c.AddCommand(endVisitCommand())
	return c
}

func showVisits(out io.Writer, v manage.View) error {
	list := func(title string, visits []manage.Visit) {
		fmt.Fprintln(out, title)
		for _, x := range visits {
			to := ""
			if !x.To.IsZero() {
				to = " to " + x.To.Local().Format(time.DateTime)
			}
			fmt.Fprintf(out, "  %-20s %-12s %s%s  %s\n", x.ID, x.Method, x.From.Local().Format(time.DateTime), to, agent.Printable(x.Who))
		}
		if len(visits) == 0 {
			fmt.Fprintln(out, "  nobody")
		}
	}
	list("In now:", v.Now)
	list("Was in:", v.Past)
	return nil
}

func endVisitCommand() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "end VISIT", Short: "End a visit", Args: one("the visit's id, as `visits` shows it"),
		RunE: func(c *cobra.Command, args []string) error {
			var v id.Visit
			if err := v.UnmarshalText([]byte(args[0])); err != nil {
				return service.Usagef("%w", err)
			}
			cfg, err := s.load(c)
			if err != nil {
				return err
			}
			return atDesk(c, cfg, func(ctx context.Context, desk manage.Desk, _ bool) error {
				if err := desk.EndVisit(ctx, v); err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), "The visit has ended.")
				return nil
			})
		},
	}
	s.add(c)
	return c
}

func setCommand() *cobra.Command {
	return branch("set", "Change a setting", setPasswordlessCommand(), setAutoLogoutCommand(), setAccountCommand())
}

func setPasswordlessCommand() *cobra.Command {
	return changing(&cobra.Command{Use: "passwordless on|off", Short: "Let the provider's people in without a password, or not", Args: one("on or off")},
		func(_ *cobra.Command, args []string) (manage.Change, string, error) {
			on := args[0] == "on"
			if !on && args[0] != "off" {
				return manage.Change{}, "", service.Usagef("%q is neither on nor off", args[0])
			}
			return manage.Change{Passwordless: &on}, "Passwordless Login is " + args[0] + ".", nil
		})
}

func setAutoLogoutCommand() *cobra.Command {
	return changing(&cobra.Command{Use: "auto-logout TIME", Short: "Set after how long without an operation a passwordless visit ends (5m to 120m)", Args: one("a time, such as 20m")},
		func(_ *cobra.Command, args []string) (manage.Change, string, error) {
			minutes, err := strconv.Atoi(args[0])
			if err != nil {
				d, derr := time.ParseDuration(args[0])
				if derr != nil || d%time.Minute != 0 || d > 24*time.Hour {
					return manage.Change{}, "", service.Usagef("%q is no whole number of minutes, such as 20m", args[0])
				}
				minutes = int(d / time.Minute)
			}
			return manage.Change{AutoLogout: &minutes}, fmt.Sprintf("Auto Logout Time is %d minutes.", minutes), nil
		})
}

func setAccountCommand() *cobra.Command {
	var f passwordFlags
	var remove bool
	c := &cobra.Command{
		Use: "account [USER]", Short: "Set the PBX's account for remote access; its password is asked for",
		Args: func(_ *cobra.Command, args []string) error {
			if remove == (len(args) == 1) || len(args) > 1 {
				return service.Usagef("give the account's user name, or --remove")
			}
			return f.check()
		},
	}
	f.add(c, "that account's password")
	c.Flags().BoolVar(&remove, "remove", false, "take the account away")
	return changing(c, func(c *cobra.Command, args []string) (manage.Change, string, error) {
		if remove {
			return manage.Change{Account: &manage.AccountChange{}}, "There is no account for remote access any more.", nil
		}
		password, err := f.password(c, "Password of that account: ")
		return manage.Change{Account: &manage.AccountChange{User: args[0], Password: password}}, "Account Login is " + agent.Printable(args[0]) + ".", err
	})
}

func pageCommand() *cobra.Command {
	return branch("page", "The Remote Management page: its address and its password", pageURLCommand(), resetPasswordCommand())
}

func pageURLCommand() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "url", Short: "Print the page's address", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := s.load(c)
			if err != nil {
				return err
			}
			return atDesk(c, cfg, func(ctx context.Context, desk manage.Desk, running bool) error {
				v, err := desk.View(ctx)
				switch {
				case err != nil:
					return err
				case v.Page == "" && (running || cfg.Page.Listen == page.Off):
					return service.Usagef("the page is switched off (page.listen)")
				case v.Page == "":
					fmt.Fprintln(c.ErrOrStderr(), "The agent is not running; start it with `trunkline-agent run`.")
					v.Page = "http://" + cfg.Page.Listen + "/"
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), v.Page)
				return err
			})
		},
	}
	s.add(c)
	return c
}

func resetPasswordCommand() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "reset-password", Short: "Forget the page's password; whoever opens the page next sets one", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := s.load(c)
			if err != nil {
				return err
			}
			return atDesk(c, cfg, func(ctx context.Context, desk manage.Desk, _ bool) error {
				if err := desk.ResetPage(ctx); err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), "The page's password is forgotten. Open the page and set another one now.")
				return nil
			})
		},
	}
	s.add(c)
	return c
}
