package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"trunkline/loadtest/result"
)

// report writes the result wherever it is wanted. That a file cannot be written
// keeps the others from nothing.
func (f *runFlags) report(c *cobra.Command, r *result.Result) error {
	var errs []error
	for _, o := range r.Thresholds {
		if !o.Passed {
			errs = append(errs, fmt.Errorf("threshold %s does not hold: %s", o.Threshold, o.Got))
		}
	}
	if f.json != "" {
		file, err := os.Create(f.json)
		if err == nil {
			err = errors.Join(r.Write(file), file.Close())
		}
		errs = append(errs, err)
	}
	for name, k := range r.Kinds {
		t := r.Total(name)
		fmt.Fprintf(c.OutOrStdout(), "%s ok=%d errors=%v p50=%v p99=%v max=%v checked=%+v warm=%d\n", name, t.OK, t.Errors, t.Latency.Quantile(.5), t.Latency.Quantile(.99), t.Latency.Quantile(1), t.Checked, k.WarmUp.OK)
	}
	for _, e := range r.Events {
		fmt.Fprintf(c.OutOrStdout(), "%6.1fs %s\n", e.At, e.Text)
	}
	for _, p := range r.Relays {
		fmt.Fprintln(c.OutOrStdout(), p.Name, p.CPU.Last(), p.Memory.Last())
	}
	return errors.Join(errs...)
}
