package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"trunkline/agent"
	"trunkline/agent/manage"
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
		account = agent.Printable(v.Account)
	}
	if v.AccountDoubt != "" {
		account += fmt.Sprintf("\n%-18s %s", "", agent.Printable(v.AccountDoubt))
	}
	_, err := fmt.Fprintf(out, "%-18s %s\n%-18s %s\n%-18s %s\n%-18s %d minutes\n", "Remote access", access,
		"Account Login", account, "Passwordless Login", onOff[v.Passwordless], "Auto Logout Time", v.AutoLogout)
	if err == nil && v.Passwordless && v.Barred != "" {
		_, err = fmt.Fprintf(out, "%-18s %s\n", "", agent.Printable(v.Barred))
	}
	return err
}
