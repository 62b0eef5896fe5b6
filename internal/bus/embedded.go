package bus

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	startTimeout = 10 * time.Second
	// maxPayload bounds every message: the largest record is maxValue.
	maxPayload  = 64 << 10
	maxConns    = 1024
	maxPending  = 64 << 20 // to one slow client, then it is cut
	maxMemory   = 2 << 30  // of all buckets; a million routes take 1.3 GiB of memory, 0.5 of it counted here
	pingEvery   = 20 * time.Second
	authTimeout = 5 // seconds
)

// embedded is the server in this process.
type embedded struct {
	server   *server.Server
	dir      string
	listens  bool
	password string // of ownUser; lives as long as the process
}

func startServer(c Config, renewals prometheus.Counter, log *zap.Logger) (*embedded, error) {
	e := &embedded{listens: c.Listen != "", password: rand.Text()}
	opts, err := e.options(c, renewals, log)
	if err != nil {
		return nil, err
	}
	// JetStream wants a directory even where all its streams are in memory.
	if e.dir, err = os.MkdirTemp("", "trunkline-bus-"); err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	opts.StoreDir = e.dir
	if err := e.run(opts, log); err != nil {
		os.RemoveAll(e.dir)
		return nil, fmt.Errorf("bus: embedded server: %w", err)
	}
	if e.listens && opts.TLSConfig == nil && !isLoopback(opts.Host) {
		log.Warn("bus listens without TLS: set cert_file and key_file, or keep it on a private network", zap.String("listen", e.addr()))
	}
	return e, nil
}

func (e *embedded) run(opts *server.Options, log *zap.Logger) error {
	var err error
	if e.server, err = server.NewServer(opts); err != nil {
		return err
	}
	l := &serverLog{log: log.WithOptions(zap.AddCallerSkip(1)).Sugar()}
	e.server.SetLoggerV2(l, false, false, false)
	e.server.Start()
	for end := time.Now().Add(startTimeout); !e.server.ReadyForConnections(50 * time.Millisecond); {
		why := l.fatal.Load()
		if why == nil && time.Now().Before(end) {
			continue
		}
		e.server.Shutdown()
		e.server.WaitForShutdown()
		if why != nil {
			return errors.New(*why)
		}
		return fmt.Errorf("not ready in %v", startTimeout)
	}
	acc, err := e.server.LookupAccount(ownAccount)
	if err == nil {
		err = acc.EnableJetStream(nil, nil)
	}
	if err != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
	return err
}

func (e *embedded) options(c Config, renewals prometheus.Counter, log *zap.Logger) (*server.Options, error) {
	o := &server.Options{
		ServerName: "trunkline", DontListen: !e.listens, NoSigs: true,
		JetStream: true, JetStreamMaxMemory: maxMemory, JetStreamMaxStore: 1 << 20, DisableJetStreamBanner: true,
		MaxPayload: maxPayload, MaxConn: maxConns, MaxPending: maxPending,
		PingInterval: pingEvery, MaxPingsOut: 2, AuthTimeout: authTimeout, WriteDeadline: 10 * time.Second,
		NoFastProducerStall: true,
	}
	if err := e.admit(o, c.Logins); err != nil {
		return nil, err
	}
	if !e.listens {
		return o, nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("bus: listen: %w", err)
	}
	if o.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("bus: listen: port: %w", err)
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	o.Host = host
	if o.TLSConfig, err = c.serverTLS(renewals, log); err != nil {
		return nil, err
	}
	if o.TLSConfig != nil {
		o.TLS, o.TLSTimeout = true, authTimeout
	}
	return o, nil
}

func (e *embedded) addr() string {
	if !e.listens {
		return ""
	}
	return e.server.Addr().String()
}

func (e *embedded) stop() error {
	e.server.Shutdown()
	e.server.WaitForShutdown()
	return os.RemoveAll(e.dir)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// serverLog is the server's view of our log. Its notices are our debug lines:
// an operator did not ask to run a NATS.
type serverLog struct {
	log   *zap.SugaredLogger
	fatal atomic.Pointer[string] // why it could not start
}

func (l *serverLog) Noticef(f string, v ...any) { l.log.Debugf("nats: "+f, v...) }
func (l *serverLog) Warnf(f string, v ...any)   { l.log.Warnf("nats: "+f, v...) }
func (l *serverLog) Errorf(f string, v ...any)  { l.log.Warnf("nats: "+f, v...) }
func (l *serverLog) Debugf(f string, v ...any)  { l.log.Debugf("nats: "+f, v...) }
func (l *serverLog) Tracef(f string, v ...any)  { l.log.Debugf("nats: "+f, v...) }
func (l *serverLog) Fatalf(f string, v ...any) {
	s := fmt.Sprintf(f, v...)
	l.fatal.CompareAndSwap(nil, &s)
	l.log.Errorf("nats: %s", s)
}
