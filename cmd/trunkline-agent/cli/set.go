package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"trunkline/agent"
	"trunkline/agent/manage"
	"trunkline/internal/service"
)

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

// accountWords say what the change is on the PBX.
func accountWords(v manage.View) string {
	switch {
	case v.AccountTold:
		return "The PBX has been told."
	case v.Account == "":
		return "The PBX is not told: take it away there yourself."
	}
	return "The PBX is not told: make this account there yourself."
}
