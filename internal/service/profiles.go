package service

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"time"
)

// maxProfile is the longest time that a profile may be taken for.
const maxProfile = 5 * time.Minute

// Profiles serves /debug/pprof/ for `go tool pprof` and `go tool trace`, by the
// paths and the parameters of net/http/pprof. That has differences of two
// profiles and pages for people too, and a sixth of a megabyte.
func Profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/{$}", func(w http.ResponseWriter, _ *http.Request) {
		for _, p := range pprof.Profiles() {
			fmt.Fprintf(w, "%d\t%s\n", p.Count(), p.Name())
		}
		fmt.Fprint(w, "\tcmdline\n\tprofile\n\ttrace\n")
	})
	mux.HandleFunc("GET /debug/pprof/{name}", func(w http.ResponseWriter, r *http.Request) {
		p := pprof.Lookup(r.PathValue("name"))
		if p == nil {
			http.Error(w, "unknown profile", http.StatusNotFound)
			return
		}
		debug, _ := strconv.Atoi(r.FormValue("debug")) // none: 0
		if gc, _ := strconv.Atoi(r.FormValue("gc")); p.Name() == "heap" && gc > 0 {
			runtime.GC()
		}
		binary(w)
		if debug != 0 {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		_ = p.WriteTo(w, debug) // who asked is gone if this fails
	})
	mux.HandleFunc("GET /debug/pprof/cmdline", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Join(os.Args, "\x00"))
	})
	mux.HandleFunc("GET /debug/pprof/profile", func(w http.ResponseWriter, r *http.Request) {
		during(w, r, 30*time.Second, func() error { return pprof.StartCPUProfile(w) }, pprof.StopCPUProfile)
	})
	mux.HandleFunc("GET /debug/pprof/trace", func(w http.ResponseWriter, r *http.Request) {
		during(w, r, time.Second, func() error { return trace.Start(w) }, trace.Stop)
	})
	return mux
}

// during runs what writes to w for the seconds that are asked for.
func during(w http.ResponseWriter, r *http.Request, usual time.Duration, start func() error, stop func()) {
	if s, err := strconv.ParseFloat(r.FormValue("seconds"), 64); err == nil && s > 0 {
		usual = time.Duration(min(s, maxProfile.Seconds()) * float64(time.Second))
	}
	binary(w)
	if err := start(); err != nil {
		w.Header().Del("Content-Disposition")
		http.Error(w, err.Error(), http.StatusInternalServerError) // another is being taken
		return
	}
	defer stop()
	ctx, cancel := context.WithTimeout(r.Context(), usual)
	defer cancel()
	<-ctx.Done()
}

func binary(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Disposition", "attachment")
}
