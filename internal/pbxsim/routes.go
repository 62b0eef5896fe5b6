package pbxsim

import "net/http"

func (p *Portal) routes() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /login", p.serveSignIn)
	m.HandleFunc("POST /login", p.signIn)
	m.HandleFunc("POST /logout", p.form(p.signOut))
	m.HandleFunc("GET /{$}", p.page(p.dashboard))
	m.HandleFunc("GET /extensions", p.page(p.extensionsPage))
	m.HandleFunc("POST /extensions/{number}", p.form(p.renameExtension))
	m.HandleFunc("GET /trunks", p.page(p.trunksPage))
	m.HandleFunc("GET /calls", p.page(p.callsPage))
	m.HandleFunc("GET /cdr", p.page(p.cdrPage))
	m.HandleFunc("GET /recordings", p.page(p.recordingsPage))
	m.HandleFunc("GET /recordings/{n}/download", p.data(p.download))
	m.HandleFunc("GET /recordings/{n}/stream", p.data(p.stream))
	m.HandleFunc("GET /maintenance", p.page(p.maintenancePage))
	m.HandleFunc("POST /maintenance/firmware", p.data(p.firmware))
	m.HandleFunc("GET /oplog", p.page(p.oplogPage))
	m.HandleFunc("GET /events/system", p.data(p.eventsSystem))
	m.HandleFunc("GET /ws/calls", p.data(p.wsCalls))
	m.HandleFunc("GET /ws/echo", p.wsEcho)
	m.HandleFunc("GET /assets/{file...}", serveAsset)
	m.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		r.SetPathValue("file", "img/logo-mark.svg")
		serveAsset(w, r)
	})
	p.testRoutes(m)
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.refuse(w, r, http.StatusNotFound, "Page not found", "There is no such page on this PBX.")
	})
	return shortcut(m)
}

func (p *Portal) testRoutes(m *http.ServeMux) {
	m.HandleFunc("/test/slow", p.testSlow)
	m.HandleFunc("/test/drip", p.testDrip)
	m.HandleFunc("/test/headers", p.testHeaders)
	m.HandleFunc("/test/chunked", p.testChunked)
	m.HandleFunc("/test/length", p.testLength)
	m.HandleFunc("/test/trailers", p.testTrailers)
	m.HandleFunc("/test/redirect", p.testRedirect)
	m.HandleFunc("/test/cookies", p.testCookies)
	m.HandleFunc("/test/status/{code}", p.testStatus)
	m.HandleFunc("/test/204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	m.HandleFunc("/test/304", p.test304)
	m.HandleFunc("/test/early-hints", p.testEarlyHints)
	m.HandleFunc("/test/garbage", p.testGarbage)
	m.HandleFunc("/test/reset", p.testReset)
	m.HandleFunc("/test/hang", p.testHang)
	m.HandleFunc("/test/early", p.testEarly)
	m.HandleFunc("/test/close", p.testClose)
	m.HandleFunc("/test/http10", p.testHTTP10)
	m.HandleFunc("GET /test/bytes", p.testBytes)
	m.HandleFunc("/test/upload", p.testUpload)
	m.HandleFunc("GET /test/events", p.testEvents)
}

// Of the benchmarks' bodies, headers included: nothing is allocated per request.
var (
	plainType = []string{"text/plain; charset=utf-8"}
	body1k    = constantBody(1 << 10)
	body64k   = constantBody(64 << 10)
	length1k  = []string{"1024"}
	length64k = []string{"65536"}
)

func constantBody(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ\n"[i%64]
	}
	return b
}

// shortcut keeps the benchmarks' bodies clear of the mux: a benchmark of a
// relay shares its cores with the portal.
func shortcut(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, length := body1k, length1k
		switch r.URL.Path {
		case "/test/1kb":
		case "/test/64kb":
			body, length = body64k, length64k
		default:
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h["Content-Type"] = plainType
		h["Content-Length"] = length
		_, _ = w.Write(body)
	})
}
