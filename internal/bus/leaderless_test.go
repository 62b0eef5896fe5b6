package bus_test

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/bus"
)

// natsCluster is three servers as configs/three-machines has them: what streams
// there are is on disk, what is in them is in memory.
type natsCluster struct {
	t     *testing.T
	opts  [3]*server.Options
	nodes [3]*server.Server
}

func newNATSCluster(t *testing.T) *natsCluster {
	t.Helper()
	c := &natsCluster{t: t}
	var routes []*url.URL
	for i := range c.opts {
		port := freePort(t)
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("127.0.0.1:%d", port)})
		c.opts[i] = &server.Options{
			ServerName: fmt.Sprintf("nats-%d", i), Host: "127.0.0.1", Port: freePort(t), NoSigs: true, NoLog: true,
			JetStream: true, JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 20, StoreDir: t.TempDir(),
			Cluster: server.ClusterOpts{Name: "trunkline", Host: "127.0.0.1", Port: port},
		}
	}
	for i := range c.opts {
		c.opts[i].Routes = routes
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.stop(i)
		}
	})
	return c
}

func (c *natsCluster) start(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.opts[i])
	if err != nil {
		c.t.Fatal(err)
	}
	s.Start()
	c.nodes[i] = s
}

func (c *natsCluster) stop(i int) {
	if s := c.nodes[i]; s != nil {
		c.nodes[i] = nil
		s.Shutdown()
		s.WaitForShutdown()
	}
}

func (c *natsCluster) url() string {
	var all []string
	for _, o := range c.opts {
		all = append(all, fmt.Sprintf("nats://127.0.0.1:%d", o.Port))
	}
	return strings.Join(all, ",")
}

// leader is the index of the server that leads the bucket.
func (c *natsCluster) leader(bucket string) int {
	c.t.Helper()
	found := -1
	inTime(c.t, "a leader of "+bucket, func() bool {
		found = slices.IndexFunc(c.nodes[:], func(s *server.Server) bool {
			return s != nil && s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, "KV_"+bucket)
		})
		return found >= 0
	})
	return found
}

// copies is how many servers have all that is in the bucket.
func copies(t *testing.T, b *bus.Bus, bucket string) int {
	t.Helper()
	js, err := jetstream.New(b.ConnForTest())
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "KV_"+bucket)
	if err != nil || s.CachedInfo().Cluster.Leader == "" {
		return 0
	}
	n := 1
	for _, r := range s.CachedInfo().Cluster.Replicas {
		if r.Current {
			n++
		}
	}
	return n
}

// remade is how many buckets control made anew.
func remade(t *testing.T, b *bus.Bus) (n float64) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(b.Metrics())
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == "trunkline_bus_buckets_remade_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// A server that was lost before another had its copies again leaves buckets that the
// two cannot choose a leader for. They are made anew, and watchers are told so; where
// revocations are, the keys are new too, for control puts all of them again then. When
// the lost one is back all three have copies again, so that any of them may fall.
func TestALeaderlessBucketIsMadeAnew(t *testing.T) {
	t.Parallel() // it waits for elections
	c := newNATSCluster(t)
	b := open(t, bus.Config{URL: c.url()})
	inTime(t, "connected", b.Connected)
	ensured := func() bool { return b.EnsureBuckets(t.Context()) == nil }
	inTime(t, "buckets", ensured)
	revocations := bus.NewBucket[string](b, bus.Revocations)
	put(t, revocations, "visit.a", "ended")
	put(t, bus.NewBucket[string](b, bus.Keys), "pass.k", "key")
	v, keys := watch(t, b, bus.Revocations), watch(t, b, bus.Keys)
	inTime(t, "the snapshots", func() bool {
		return v.is(map[string]string{"visit.a": "ended"}) && keys.is(map[string]string{"pass.k": "key"})
	})

	inTime(t, "three copies of each", func() bool {
		return copies(t, b, bus.Revocations) == 3 && copies(t, b, bus.Keys) == 3
	})
	lead := c.leader(bus.Revocations)
	empty := (lead + 1) % 3
	c.stop(empty)
	c.stop(lead)
	c.start(empty)
	b.SetLeaderlessForTest(time.Second)
	inTime(t, "new buckets", func() bool { return ensured() && v.is(map[string]string{}) && keys.is(map[string]string{}) })
	for _, w := range []*view{v, keys} {
		if r := w.resets(); r[0] == r[len(r)-1] {
			t.Errorf("the epoch is that of the old bucket, %s", r[0])
		}
	}
	if n := remade(t, b); n == 0 {
		t.Error("no bucket is counted as made anew")
	}
	put(t, revocations, "visit.a", "again")
	inTime(t, "the revocation", func() bool { return v.is(map[string]string{"visit.a": "again"}) })

	c.start(lead)
	inTime(t, "three copies", func() bool { return ensured() && copies(t, b, bus.Revocations) == 3 })
	c.stop(c.leader(bus.Revocations))
	inTime(t, "a leader after that", func() bool { return copies(t, b, bus.Revocations) == 2 })
	if s, _, err := revocations.Get(t.Context(), "visit.a"); err != nil || s != "again" {
		t.Errorf("the revocation is %q, %v", s, err)
	}
}

// A bucket on one server, as it is made where there is no room for three, is made anew
// when that has stopped, and has told the others.
func TestABucketWhoseOnlyServerIsGoneIsMadeAnew(t *testing.T) {
	t.Parallel()
	c := newNATSCluster(t)
	b := open(t, bus.Config{URL: c.url()})
	inTime(t, "connected", b.Connected)
	js, err := jetstream.New(b.ConnForTest())
	if err != nil {
		t.Fatal(err)
	}
	one := jetstream.StreamConfig{Name: "KV_routes", Subjects: []string{"$KV.routes.>"}, Storage: jetstream.MemoryStorage, MaxMsgsPerSubject: 1, AllowDirect: true}
	inTime(t, "the bucket", func() bool { _, err := js.CreateStream(t.Context(), one); return err == nil })
	c.stop(c.leader(bus.Routes))
	b.SetLeaderlessForTest(time.Second)
	inTime(t, "all buckets of the two", func() bool { return b.EnsureBuckets(t.Context()) == nil })
	if n := remade(t, b); n != 1 {
		t.Errorf("%v buckets are counted as made anew, want 1", n)
	}
	put(t, bus.NewBucket[string](b, bus.Routes), "r.dev", "up")
}

// One server that is lost is no reason to make anything anew.
func TestBucketsOutliveTheirLeader(t *testing.T) {
	t.Parallel()
	c := newNATSCluster(t)
	b := open(t, bus.Config{URL: c.url()})
	inTime(t, "connected", b.Connected)
	ensured := func() bool { return b.EnsureBuckets(t.Context()) == nil }
	inTime(t, "buckets", ensured)
	routes := bus.NewBucket[string](b, bus.Routes)
	put(t, routes, "r.dev", "up")
	inTime(t, "three copies", func() bool { return copies(t, b, bus.Routes) == 3 })
	c.stop(c.leader(bus.Routes))
	inTime(t, "buckets of the two", func() bool { return ensured() && copies(t, b, bus.Routes) == 2 })
	if n := remade(t, b); n != 0 {
		t.Errorf("%v buckets were made anew", n)
	}
	if s, _, err := routes.Get(t.Context(), "r.dev"); err != nil || s != "up" {
		t.Errorf("the route is %q, %v", s, err)
	}
}

// inTime is eventually, for what takes several elections one after the other.
func inTime(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * testTimeout); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
