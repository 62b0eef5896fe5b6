package cluster

import (
	"context"
	"errors"
	"os"
	"time"

	"trunkline/internal/pgserver"
	"trunkline/loadtest/clock"
)

const (
	portDatabase = "5432"
	databaseName = "trunkline"
)

// addDatabase makes the node with PostgreSQL, and that of its standby if there is
// to be one: control's URL then names both, and who may write is asked.
func (c *Cluster) addDatabase() error {
	m, s, err := c.databaseNode("database", 1, pgserver.Init)
	if err != nil {
		return err
	}
	c.db = m
	if err := s.TrustNetwork(c.net.addr(m.node) + "/16"); err != nil {
		return err
	}
	c.database = "postgres://" + pgserver.User + "@" + c.at(m.node, portDatabase) + "/" + databaseName
	c.createDatabase = func() error { return s.CreateDatabase(databaseName) }
	if !c.o.Standby {
		return nil
	}
	n := node{"database-2", kindDatabase, 2}
	c.follower = &standby{of: s, c: c, node: n}
	c.database = "postgres://" + pgserver.User + "@" + c.at(m.node, portDatabase) + "," + c.at(n, portDatabase) + "/" + databaseName + "?target_session_attrs=read-write"
	return nil
}

// databaseNode makes a node, with a server in a place of its own: user postgres has
// no business in c.dir, and the socket's path must be short.
func (c *Cluster) databaseNode(name string, i byte, fill func(dir string) (*pgserver.Server, error), more ...string) (*member, *pgserver.Server, error) {
	n := node{name, kindDatabase, i}
	if err := c.net.add(n); err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "trunkline-db")
	if err != nil {
		return nil, nil, err
	}
	c.undo(func() error { return os.RemoveAll(dir) })
	s, err := fill(dir)
	if err != nil {
		return nil, nil, err
	}
	// What is committed survives the end of the process, as it must in earnest.
	args := append(append(s.Postgres(c.net.addr(n)), "-c", "synchronous_commit=on"), more...)
	if s.Cred != nil {
		args = append([]string{"setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--pdeathsig", "QUIT"}, args...)
	}
	return &member{n, c.process(n, args, func(context.Context) error { return s.Ready() })}, s, nil
}

// startDatabase starts it, and makes what it is for.
func (c *Cluster) startDatabase(ctx context.Context) error {
	if err := errors.Join(c.db.Start(ctx), c.createDatabase()); err != nil || c.follower == nil {
		return err
	}
	return c.follower.start(ctx)
}

// standby follows the database, which commits nothing that it has not.
type standby struct {
	of   *pgserver.Server
	node node
	c    *Cluster
	*member
	server *pgserver.Server
}

func (b *standby) members() []*member {
	if b == nil || b.member == nil {
		return nil
	}
	return []*member{b.member}
}

// start copies the database, follows it, and has it wait for that from now on.
func (b *standby) start(ctx context.Context) (err error) {
	// Without times of its own a standby that was cut off tries on for as long as TCP
	// does, minutes, and the primary waits for it.
	from := "host=" + b.c.net.addr(b.c.db.node) + " port=" + portDatabase + " user=" + pgserver.User + " connect_timeout=3"
	b.member, b.server, err = b.c.databaseNode(b.node.name, b.node.n, b.of.Copy, "-c", "primary_conninfo="+from, "-c", "wal_receiver_timeout=10s")
	if err != nil {
		return err
	}
	if err := b.member.Start(ctx); err != nil {
		return err
	}
	if err := b.of.Do("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	for late := time.Now().Add(startPatience); ; {
		err := b.of.Do("SELECT 1 / COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
		if err == nil || time.Now().After(late) || !clock.Sleep(ctx, lookEvery) {
			return err
		}
	}
}
