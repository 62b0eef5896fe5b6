package console

import "net/http"

// RouteForTest is a route as the door sees it.
type RouteForTest struct {
	Pattern string
	Public  bool
	Page    string
}

func RoutesForTest(h http.Handler) []RouteForTest {
	var out []RouteForTest
	for _, r := range h.(*console).routes() {
		out = append(out, RouteForTest{Pattern: r.pattern, Public: r.public != nil, Page: r.page})
	}
	return out
}

var (
	LocalPathForTest = localPath
	SearchForTest    = search
	PlainForTest     = plain
	AgoForTest       = ago
	NumberForTest    = number
	BytesForTest     = byteSize
	GzipForTest      = acceptsGzip
)
