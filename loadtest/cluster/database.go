package cluster

import (
	"context"
	"errors"
	"os"

	"trunkline/internal/pgserver"
)

const (
	portDatabase = "5432"
	databaseName = "trunkline"
)

// addDatabase makes the node with PostgreSQL.
func (c *Cluster) addDatabase() error {
	n := node{"database", kindDatabase, 1}
	if err := c.net.add(n); err != nil {
		return err
	}
	// Its own place: user postgres has no business in c.dir, and the socket's path
	// must be short.
	dir, err := os.MkdirTemp("/tmp", "trunkline-db")
	if err != nil {
		return err
	}
	c.undo(func() error { return os.RemoveAll(dir) })
	s, err := pgserver.Init(dir)
	if err != nil {
		return err
	}
	if err := s.TrustNetwork(c.net.addr(n) + "/16"); err != nil {
		return err
	}
	c.db = &member{node: n}
	// What is committed survives the end of the process, as it must in earnest.
	args := append(s.Postgres(c.net.addr(n)), "-c", "synchronous_commit=on")
	if s.Cred != nil {
		args = append([]string{"setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--pdeathsig", "QUIT"}, args...)
	}
	c.db.Process = c.process(n, args, func(context.Context) error { return s.Ready() })
	c.database = "postgres://" + pgserver.User + "@" + c.at(n, portDatabase) + "/" + databaseName
	c.createDatabase = func() error { return s.CreateDatabase(databaseName) }
	return nil
}

// startDatabase starts it, and makes what it is for.
func (c *Cluster) startDatabase(ctx context.Context) error {
	return errors.Join(c.db.Start(ctx), c.createDatabase())
}
