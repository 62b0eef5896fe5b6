package edge_test

// counted is a counter's or a gauge's value, of one of its labels or, if that is "", of all.
func (w *world) counted(name, label string) (n float64) {
	w.t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "trunkline_relay_edge_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" || m.GetLabel()[0].GetValue() == label {
				n += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return n
}

// driven is how many requests loops have served whole.
func (w *world) driven() float64 { return w.counted("requests_driven_total", "") }

// limited is how often a limit was met.
func (w *world) limited(limit string) float64 { return w.counted("limited_total", limit) }

// h2errors is how often a reason has been counted.
func (w *world) h2errors(reason string) float64 { return w.counted("http2_errors_total", reason) }
