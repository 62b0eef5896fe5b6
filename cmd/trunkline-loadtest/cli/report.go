package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"trunkline/internal/service"
	"trunkline/loadtest/report"
	"trunkline/loadtest/result"
)

// reportFlags say where a result goes besides standard output.
type reportFlags struct{ json, html string }

func (f *reportFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.json, "json", "", "file for the result, which compare reads")
	c.Flags().StringVar(&f.html, "html", "", "file for the report with its plots; it needs no network")
}

// write puts the result wherever it is wanted: that one place has no room keeps
// it from no other. Thresholds that do not hold are an error.
func (f *reportFlags) write(c *cobra.Command, r *result.Result) error {
	errs := []error{report.Print(c.OutOrStdout(), r)}
	if f.json != "" {
		errs = append(errs, report.WriteJSON(f.json, r))
	}
	if f.html != "" {
		errs = append(errs, report.WriteHTML(f.html, r))
	}
	for _, o := range r.Thresholds {
		if !o.Passed {
			errs = append(errs, fmt.Errorf("threshold %s does not hold: %s", o.Threshold, o.Got))
		}
	}
	return errors.Join(errs...)
}

func compareCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compare BEFORE.json AFTER.json",
		Short: "Say what changed from one run to another, beyond the noise",
		Long: `Compare reads the results of two runs of one scenario and says what changed beyond
the noise that they had in themselves. It refuses runs that are unlike.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return service.Usagef("need two files; see `%s --help`", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			before, err := readResult(args[0])
			if err != nil {
				return err
			}
			after, err := readResult(args[1])
			if err != nil {
				return err
			}
			changes, err := report.Compare(before, after)
			if err != nil {
				return &service.UsageError{Err: err}
			}
			return changes.Print(c.OutOrStdout())
		},
	}
}

func readResult(path string) (*result.Result, error) {
	r, err := report.Read(path)
	if err != nil {
		return nil, &service.UsageError{Err: err}
	}
	return r, nil
}

// writable tries the files before a long run rather than after it.
func (f *reportFlags) writable() error {
	for flag, path := range map[string]string{"json": f.json, "html": f.html} {
		if path == "" {
			continue
		}
		if i, err := os.Stat(path); err == nil && !i.Mode().IsRegular() {
			return service.Usagef("--%s: %s is not a regular file, which a report could take the place of", flag, path)
		}
		if i, err := os.Stat(filepath.Dir(path)); err != nil || !i.IsDir() {
			return service.Usagef("--%s: there is no directory %s", flag, filepath.Dir(path))
		}
	}
	return nil
}
