package coding

import "bytes"

const (
	MaxCodingForTest = maxCoding
	MaxZstdForTest   = maxZstd
	MaxAskedForTest  = maxAsked
	MaxHeadForTest   = maxHead
)

// AcceptedForTest is what an Accept-Encoding of these lines allows.
func AcceptedForTest(lines ...string) (out string) {
	var b [][]byte
	for _, l := range lines {
		b = append(b, []byte(l))
	}
	a := acceptance(b)
	if a.zstd {
		out += "zstd "
	}
	if a.gzip {
		out += "gzip "
	}
	return string(bytes.TrimSpace([]byte(out)))
}

func MarkedForTest(etag string) string { return string(appendMarked(nil, []byte(etag))) }

func UnmarkedForTest(list string) string {
	b, _ := unmarked([]byte(list))
	return string(b)
}

// CodingForTest is how many bodies are being coded.
func (c *Coder) CodingForTest() int { return len(c.gzip) + len(c.zstd) }
