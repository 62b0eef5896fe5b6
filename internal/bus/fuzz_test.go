package bus_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"trunkline/internal/bus"
)

// A record is taken only if it says which one it is, and then says it back.
func FuzzParseRecord(f *testing.F) {
	f.Add("$KV.routes.r.d", "7", "", []byte("{}"))
	f.Add("$KV.routes.r.d", "18446744073709551615", "DEL", []byte(nil))
	f.Add("$KV.keys.a", "1", "", []byte("{}"))
	f.Add("", "-1", "PURGE", []byte("x"))
	f.Fuzz(func(t *testing.T, subject, seq, op string, data []byte) {
		const prefix = "$KV.routes."
		m := &nats.Msg{Header: nats.Header{"Nats-Sequence": {seq}, "KV-Operation": {op}}, Data: data}
		key, rev, deleted, err := bus.ParseRecordForTest(m, prefix, subject)
		if err != nil {
			if key != "" || rev != 0 || deleted {
				t.Fatal("an error and a record")
			}
			return
		}
		if prefix+key != subject || strconv.FormatUint(rev, 10) != strings.TrimLeft(seq, "0") && rev != 0 || deleted != (op != "") {
			t.Fatalf("%q %q %q became %q %d %v", subject, seq, op, key, rev, deleted)
		}
	})
}
