package cluster

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
)

// Print writes the rows as a table for people, and below it what the numbers do
// not say.
func Print(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "failure\tdue\tlost\tcut\tslowest page\tleast up\t95 % back\tall back\tall right\twrong > 10 s\tlongest wrong\t")
	for _, r := range rows {
		verdict := "PASS"
		if len(r.Faults)+len(r.Late) > 0 {
			verdict = "FAIL"
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%.1f s\t%d of %d\t%.1f s\t%.1f s\t%.1f s\t%d\t%.0f s\t%s\n",
			r.Failure, r.Due, r.lostWhere(), r.Cut, r.Slowest, r.Least, r.Devices, r.Most, r.All, r.Healthy, r.Wrong, r.Longest, verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		fmt.Fprintf(w, "\n%s: %s\n", r.Failure, r.About)
		if r.lost() > 0 {
			fmt.Fprintf(w, "  lost: %s; %d of them were due before it happened\n", codes(r.Lost), r.Before)
			if r.Part != "" {
				fmt.Fprintf(w, "  of these %d came to %s or were under way there, %d were for PBXs whose tunnel was there, %d only read, %d were elsewhere\n",
					r.There, r.Part, r.Through, r.Repeatable, r.elsewhere())
			}
			if r.Crossed > 0 {
				fmt.Fprintf(w, "  %d were messages sent while a relay's 1012 was on its way to who sent them\n", r.Crossed)
			}
			r.printLosses(w)
		}
		if r.Closed > 0 {
			fmt.Fprintf(w, "  %d WebSockets were ended, %d of them without a 1012\n", r.Closed, r.Abrupt)
		}
		if sum(r.Console) > 0 {
			fmt.Fprintf(w, "  control: %s\n", codes(r.Console))
		}
		if r.Dark > 0 {
			fmt.Fprintf(w, "  control said of a PBX that it does not know, for %.0f s at the longest\n", r.Dark)
		}
		for _, f := range r.Facts {
			fmt.Fprintf(w, "  %s\n", f)
		}
		for _, f := range append(slices.Clip(r.Faults), r.Late...) {
			fmt.Fprintf(w, "  GOAL MISSED: %s\n", f)
		}
	}
	return nil
}

// lostWhere is how many were lost; where a part failed: there, for PBXs whose tunnel
// was there, and beyond that.
func (r *Row) lostWhere() string {
	if r.Part == "" {
		return strconv.FormatInt(r.lost(), 10)
	}
	return fmt.Sprintf("%d + %d + %d", r.There, r.Through, r.lost()-r.There-r.Through)
}
