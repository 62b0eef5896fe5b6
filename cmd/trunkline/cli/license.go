package cli

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"trunkline/control/license"
	"trunkline/internal/service"
)

func licenseCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "license", Short: "Make, issue, show and verify licences", Args: noArgs,
		Long: `A licence says how many connections an installation has, and until when. It is
signed with a key that stays with whoever sells licences; the installation
verifies it with the other half, license_key in control's configuration.`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(keygenCommand(), issueCommand(), showCommand(), verifyCommand())
	return c
}

func keygenCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "keygen --out FILE", Short: "Make the key that signs licences", Args: noArgs,
		Long:    "Makes an Ed25519 key and writes it to a new file (PKCS #8 in PEM, mode 0600). The key that verifies goes to standard output.",
		Example: "  trunkline license keygen --out licence.key",
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return service.Usagef("--out is missing: the file for the key")
			}
			pub, priv, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				return err
			}
			der, err := x509.MarshalPKCS8PrivateKey(priv)
			if err != nil {
				return err
			}
			if err := writeNew(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "The signing key is in %s: keep it safe. For control's configuration, license_key:\n", out)
			_, err = fmt.Fprintln(c.OutOrStdout(), base64.StdEncoding.EncodeToString(pub))
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "", "file for the signing key; it must not exist")
	return c
}

// writeNew never overwrites: a lost signing key cannot be had again.
func writeNew(path string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func issueCommand() *cobra.Command {
	var key, out, from, to string
	var days int
	l := license.License{}
	c := &cobra.Command{
		Use: "issue --key FILE --holder NAME --connections N", Short: "Issue a licence", Args: noArgs,
		Long:    "Issues a licence and writes it to standard output, or to a new file. Dates are YYYY-MM-DD, in UTC. Without an end it does not expire.",
		Example: "  trunkline license issue --key licence.key --holder 'ACME Telecom' --connections 500 --days 365 --out acme.licence",
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case key == "":
				return service.Usagef("--key is missing: the file that `license keygen` made")
			case strings.TrimSpace(l.Holder) == "":
				return service.Usagef("--holder is missing: who it is for")
			case l.Connections < 1:
				return service.Usagef("--connections is missing: how many PBXs or pairs")
			case to != "" && days != 0:
				return service.Usagef("give --expires or --days, not both")
			case days < 0:
				return service.Usagef("--days: need 1 or more")
			}
			priv, err := readSigningKey(key)
			if err != nil {
				return err
			}
			if l.NotBefore, err = date("--not-before", from, time.Now().UTC().Truncate(time.Second)); err != nil {
				return err
			}
			if l.Expires, err = date("--expires", to, time.Time{}); err != nil {
				return err
			}
			if days > 0 {
				l.Expires = l.NotBefore.AddDate(0, 0, days)
			}
			file, err := license.Issue(priv, l)
			if err != nil {
				return &service.UsageError{Err: err}
			}
			if out != "" {
				return writeNew(out, file, 0o644)
			}
			_, err = c.OutOrStdout().Write(file)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&key, "key", "", "file with the signing key")
	f.StringVar(&l.Holder, "holder", "", "who it is for")
	f.StringVar(&l.Plan, "plan", "standard", `what was bought; "trial" shows as a trial`)
	f.IntVar(&l.Connections, "connections", 0, "PBXs, or hot-standby pairs, at most")
	f.StringVar(&from, "not-before", "", "first day (default now)")
	f.StringVar(&to, "expires", "", "day on which it expires; 14 days of grace follow")
	f.IntVar(&days, "days", 0, "instead of --expires: how long from its first day")
	f.StringArrayVar(&l.Features, "feature", nil, "a feature it grants; may be repeated")
	f.StringVar(&out, "out", "", "file for the licence; it must not exist")
	return c
}

func date(flag, s string, otherwise time.Time) (time.Time, error) {
	if s == "" {
		return otherwise, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, service.Usagef("%s: need a date such as 2027-01-31", flag)
	}
	return t, nil
}

func readSigningKey(path string) (ed25519.PrivateKey, error) {
	b, err := readSmall(path)
	if err != nil {
		return nil, &service.UsageError{Err: err}
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, service.Usagef("%s: no key in PEM", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	priv, ok := k.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, service.Usagef("%s: no Ed25519 key in PKCS #8", path)
	}
	return priv, nil
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 128<<10)) // twice what a licence may have
}

func showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show FILE", Short: "Show what a licence says, without verifying it", Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			b, err := readSmall(args[0])
			if err != nil {
				return &service.UsageError{Err: err}
			}
			l, err := license.Unverified(b)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return printLicense(c.OutOrStdout(), l)
		},
	}
}

func verifyCommand() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use: "verify --key KEY FILE", Short: "Verify a licence", Args: oneFile,
		Long: "Verifies a licence with license_key of control's configuration and shows it. Exit code 1 if it does not verify or is not in force now.",
		RunE: func(c *cobra.Command, args []string) error {
			if key == "" {
				return service.Usagef("--key is missing: license_key of control's configuration, as keygen printed it")
			}
			pub, err := license.ParseKey(key)
			if err != nil {
				return service.Usagef("--key: %w", err)
			}
			b, err := readSmall(args[0])
			if err != nil {
				return &service.UsageError{Err: err}
			}
			l, err := license.Verify(pub, b)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if err := printLicense(c.OutOrStdout(), l); err != nil {
				return err
			}
			if !l.InForce(time.Now()) {
				return fmt.Errorf("%s is genuine, and not in force now", args[0])
			}
			return nil
		},
	}
	c.Flags().StringVar(&key, "key", "", "the verifying key, as `license keygen` printed it")
	return c
}

func oneFile(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return service.Usagef("need one file; see `%s --help`", c.CommandPath())
	}
	return nil
}

func printLicense(w io.Writer, l license.License) error {
	day := func(t time.Time, none string) string {
		if t.IsZero() {
			return none
		}
		return t.Format("2006-01-02 15:04 UTC")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	now := time.Now()
	status := string(l.Status(now))
	if l.InGrace(now) {
		status += ", in its days of grace until " + day(l.Expires.Add(license.Grace), "")
	}
	for _, row := range [][2]string{
		{"holder", fmt.Sprintf("%q", l.Holder)}, {"plan", l.Plan}, {"connections", strconv.Itoa(l.Connections)},
		{"not before", day(l.NotBefore, "always")}, {"expires", day(l.Expires, "never")},
		{"features", strings.Join(l.Features, ", ")}, {"status now", status},
	} {
		if row[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
		}
	}
	return t.Flush()
}
