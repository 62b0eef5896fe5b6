package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"trunkline/control"
	"trunkline/control/store"
	"trunkline/internal/service"
)

func adminCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "admin", Short: "Back up, restore, move and check the database", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(backupCommand(), restoreCommand(), importCommand(), dbCheckCommand(), seedCommand())
	return c
}

// database is where an installation keeps what it knows.
type database struct{ data, url string }

func (d *database) add(c *cobra.Command) {
	c.Flags().StringVar(&d.data, "data", "", "the directory with the SQLite database")
	c.Flags().StringVar(&d.url, "database", "", "instead of --data: PostgreSQL, postgres://user@host/name; its password goes into "+store.PasswordEnv)
}

func (d *database) open(ctx context.Context) (*store.Store, error) {
	switch {
	case d.data != "" && d.url == "":
		return store.ReadSQLite(ctx, filepath.Join(d.data, store.FileName))
	case d.data == "" && d.url != "":
		return openURL(ctx, d.url)
	}
	return nil, service.Usagef("give --data or --database")
}

func openURL(ctx context.Context, url string) (*store.Store, error) {
	if err := store.CheckURL(url); err != nil {
		return nil, service.Usagef("--database: %w", err)
	}
	return store.OpenPostgres(ctx, url, zap.NewNop())
}

func backupCommand() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use: "backup --data DIR FILE", Short: "Back up the SQLite database, also while control runs", Args: oneFile,
		Long: "Writes one moment's copy of the SQLite database to a new file, mode 0600, and checks it. Control goes on meanwhile.\n" +
			"The file holds signing keys: keep it as safe as the data directory. PostgreSQL has pg_dump for this.",
		Example: "  trunkline admin backup --data /var/lib/trunkline trunkline-2027-01-31.db",
		RunE: func(c *cobra.Command, args []string) error {
			if data == "" {
				return service.Usagef("--data is missing: the directory with the database")
			}
			err := store.Backup(c.Context(), filepath.Join(data, store.FileName), args[0])
			if errors.Is(err, fs.ErrExist) {
				return service.Usagef("%s exists: a backup overwrites nothing", args[0])
			}
			return err
		},
	}
	c.Flags().StringVar(&data, "data", "", "the directory with the database")
	return c
}

func restoreCommand() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use: "restore --data DIR FILE", Short: "Put a backup into the place of the SQLite database, also while control runs", Args: oneFile,
		Long: "Checks the backup and puts it into the place of the SQLite database, which is kept beside it under another name.\n" +
			"A control that runs does it itself: tunnels stay up, the console waits for a moment, everybody signs in again and\n" +
			"visits end. What was activated, changed or revoked after the backup is lost: PBXs that it does not know are\n" +
			"disconnected, and API tokens and people that were removed since are there again.",
		Example: "  trunkline admin restore --data /var/lib/trunkline trunkline-2027-01-31.db",
		RunE: func(c *cobra.Command, args []string) error {
			if data == "" {
				return service.Usagef("--data is missing: the directory for the database")
			}
			aside, err := restore(c.Context(), data, args[0], func(step string) { fmt.Fprintf(c.ErrOrStderr(), "%s\n", step) })
			if aside != "" {
				fmt.Fprintf(c.ErrOrStderr(), "What was there is now %s.\n", aside)
			}
			return err
		},
	}
	c.Flags().StringVar(&data, "data", "", "the directory for the database")
	return c
}

// restore has the control that runs do it, or does it if none runs.
func restore(ctx context.Context, data, backup string, said func(string)) (aside string, err error) {
	f, err := os.Open(backup)
	if err != nil {
		return "", err
	}
	defer f.Close()
	aside, err = control.Restore(ctx, data, f, said)
	if !errors.Is(err, control.ErrNobody) {
		if err != nil {
			err = fmt.Errorf("%s: %w", backup, err)
		}
		return aside, err
	}
	return store.Restore(ctx, backup, filepath.Join(data, store.FileName), time.Now(), said)
}

func importCommand() *cobra.Command {
	var from, url string
	c := &cobra.Command{
		Use: "import-sqlite --from FILE --database URL", Short: "Move from SQLite to an empty PostgreSQL", Args: noArgs,
		Long: "Copies everything from an SQLite database, best a backup of one, into an empty PostgreSQL database, and compares\n" +
			"the number of rows and a checksum of each table. All is there afterwards, or nothing.",
		Example: "  trunkline admin import-sqlite --from backup.db --database postgres://trunkline@db.example.com/trunkline",
		RunE: func(c *cobra.Command, _ []string) error {
			if from == "" || url == "" {
				return service.Usagef("--from or --database is missing")
			}
			src, err := store.ReadSQLite(c.Context(), from)
			if err != nil {
				return err
			}
			defer src.Close()
			if filepath.Base(from) == store.FileName { // of a data directory
				lock, err := store.Lock(filepath.Dir(from))
				if err != nil { // what it writes from now on would be lost
					return fmt.Errorf("%s: %w; stop it, or take a backup of its database", from, err)
				}
				defer lock.Close()
			}
			dst, err := openURL(c.Context(), url)
			if err != nil {
				return err
			}
			defer dst.Close()
			return dst.Import(c.Context(), src, func(d store.Imported) {
				fmt.Fprintf(c.OutOrStdout(), "%-14s %9d rows  sha256 %s\n", d.Table, d.Rows, d.Checksum)
			})
		},
	}
	c.Flags().StringVar(&from, "from", "", "the SQLite database")
	c.Flags().StringVar(&url, "database", "", "postgres://user@host/name; the password goes into "+store.PasswordEnv)
	return c
}

func dbCheckCommand() *cobra.Command {
	var d database
	c := &cobra.Command{
		Use: "verify (--data DIR | --database URL)", Short: "Check the database", Args: noArgs,
		Long: "Reads the whole database and says what is wrong with it: pages, references, and what is counted in two places. Exit code 1 if anything is.",
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := d.open(c.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			found, err := s.Verify(c.Context())
			if err != nil {
				return err
			}
			for _, f := range found {
				fmt.Fprintln(c.OutOrStdout(), f)
			}
			if len(found) > 0 {
				return fmt.Errorf("%d findings", len(found))
			}
			return nil
		},
	}
	d.add(c)
	return c
}

const maxSeed = 1_000_000

func seedCommand() *cobra.Command {
	var d database
	var devices, accounts int
	c := &cobra.Command{
		Use: "seed (--data DIR | --database URL) --devices N", Short: "Fill a database for trials", Args: noArgs,
		Long: "Adds made-up devices, each with a visit and an audit entry, to an installation for trials. They cannot connect. Not for one in use.",
		RunE: func(c *cobra.Command, _ []string) error {
			if devices < 1 || devices > maxSeed {
				return service.Usagef("--devices: need 1 to %d", maxSeed)
			}
			if accounts < 0 || accounts > devices {
				return service.Usagef("--accounts: need 0 to the number of devices")
			}
			s, err := d.open(c.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			return s.Seed(c.Context(), devices, accounts, time.Now().UTC(), func(n int) {
				if n%10_000 == 0 || n == devices {
					fmt.Fprintf(c.ErrOrStderr(), "%d of %d devices\n", n, devices)
				}
			})
		},
	}
	d.add(c)
	c.Flags().IntVar(&devices, "devices", 0, "how many devices")
	c.Flags().IntVar(&accounts, "accounts", 0, "how many resellers to spread them over, beside the provider's own account")
	return c
}
