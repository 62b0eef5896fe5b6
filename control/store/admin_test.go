package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/control/store/storetest"
	"trunkline/internal/id"
	"trunkline/internal/pgtest"
)

// seeded is an SQLite database with something in it.
func seeded(t *testing.T, devices, resellers int) (*store.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db")
	storetest.File(t, path)
	s := openSQLite(t, path)
	seed(t, s, devices, resellers)
	return s, path
}

func seed(t testing.TB, s *store.Store, devices, resellers int) id.Account {
	t.Helper()
	root := fleet.Account{ID: id.NewAccount(), Name: "Provider", Created: at(0)}
	err := s.Tx(t.Context(), func(tx fleet.Tx) error {
		u := fleet.User{ID: id.NewUser(), Account: root.ID, Email: "owner@example.com", Name: "Zoë O'Hara\r\n", Role: fleet.RoleOwner, Hash: "h", Created: at(0)}
		return errors.Join(tx.AddAccount(root), tx.AddUser(u))
	})
	if err := errors.Join(err, s.Seed(t.Context(), devices, resellers, at(0), func(int) {})); err != nil {
		t.Fatal(err)
	}
	return root.ID
}

// Trial devices are added while control is at work on the same database.
func TestSeedBesideAWriter(t *testing.T) {
	s, path := seeded(t, 1, 0)
	ctx, stop := context.WithCancel(t.Context())
	var control errgroup.Group
	control.Go(func() error {
		for ctx.Err() == nil {
			began := time.Now()
			if err := s.Tx(t.Context(), func(tx fleet.Tx) error { return tx.AddAudit(fleet.AuditEntry{At: at(5), Action: "x"}) }); err != nil {
				return err
			}
			time.Sleep(time.Since(began)) // SQLite's waiters have no queue: one who writes all the time shuts them out
		}
		return nil
	})
	beside, err := store.ReadSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	for range 10 {
		if err := beside.Seed(t.Context(), 5, 2, at(0), func(int) {}); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := control.Wait(); err != nil {
		t.Error(err)
	}
}

func TestImportBringsEverythingOver(t *testing.T) {
	src, path := seeded(t, 540, 3)
	err := src.Tx(t.Context(), func(tx fleet.Tx) error {
		root, err := tx.Root()
		if err != nil {
			return err
		}
		g := fleet.Group{ID: id.NewGroup(), Account: root.ID, Name: "G", Created: at(1)}
		return errors.Join(tx.AddGroup(g), tx.SetRoleRights(root.ID, fleet.RoleAdmin, map[id.Group]fleet.Rights{g.ID: 3}))
	})
	if err != nil {
		t.Fatal(err)
	}
	from, err := store.ReadSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	dst := openPostgres(t, storetest.Postgres(t))
	rows := make(map[string]int)
	if err := dst.Import(t.Context(), from, func(d store.Imported) { rows[d.Table] = d.Rows }); err != nil {
		t.Fatal(err)
	}
	if rows["devices"] != 540 || rows["sites"] != 540 || rows["visits"] != 540 || rows["audit"] != 540 || rows["accounts"] != 4 || rows["role_rights"] != 1 {
		t.Errorf("rows %v", rows)
	}
	// Both answer alike, and the new one counts on from where the old one was.
	equal(t, answers(t, dst), answers(t, src))
	if err := dst.Tx(t.Context(), func(tx fleet.Tx) error { return tx.AddAudit(fleet.AuditEntry{At: at(5), Action: "x"}) }); err != nil {
		t.Error(err)
	}
	if found, err := dst.Verify(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	if err := dst.Import(t.Context(), from, func(store.Imported) {}); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("error %v, want not empty", err)
	}
}

func answers(t *testing.T, s *store.Store) (out []any) {
	t.Helper()
	err := s.View(t.Context(), func(tx fleet.Tx) error {
		root, err := tx.Root()
		if err != nil {
			return err
		}
		ds, err1 := tx.Devices(root.ID, fleet.DeviceQuery{Limit: 50, Search: "000", Seen: fleet.GroupFilter{Except: true}})
		us, err2 := tx.Users(root.ID, fleet.ListQuery{Limit: 50})
		vs, err3 := tx.Visits(root.ID, fleet.VisitQuery{Limit: 50})
		as, err4 := tx.Audit(root.ID, true, fleet.AuditQuery{Limit: 50})
		out = []any{root, ds, us, vs, as}
		return errors.Join(err1, err2, err3, err4)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A table that is forgotten is data that is lost.
func TestEveryTableIsImported(t *testing.T) {
	s := storetest.SQLite(t, zap.NewNop())
	known := store.TableNames()
	for _, name := range store.SchemaTables(t, s) {
		if !slices.Contains(known, name) && name != "goose_db_version" && name != "device_counts" && name != "audit_hours" && !strings.HasPrefix(name, "sqlite_") && !strings.Contains(name, "_search") {
			t.Errorf("%s is not in the list of tables", name)
		}
	}
}

// What fails half-way leaves nothing behind.
func TestImportIsAllOrNothing(t *testing.T) {
	_, path := seeded(t, 3, 0)
	raw(t, path, "INSERT INTO revocations (key, code, at, until) VALUES ('k', CAST(x'ff' AS TEXT), 1, 1)") // no UTF-8
	from, err := store.ReadSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	dst := openPostgres(t, storetest.Postgres(t))
	if err := dst.Import(t.Context(), from, func(store.Imported) {}); err == nil || !strings.Contains(err.Error(), "revocations") {
		t.Errorf("error %v", err)
	}
	wantErr(t, dst.View(t.Context(), func(tx fleet.Tx) error { _, err := tx.Root(); return err }), fleet.ErrNoRow)
}

func TestVerifyFindsWhatDoesNotAddUp(t *testing.T) {
	s, path := seeded(t, 3, 1)
	if found, err := s.Verify(t.Context()); err != nil || len(found) > 0 {
		t.Fatalf("%v, %v", found, err)
	}
	raw(t, path, "UPDATE accounts SET used = 9 WHERE parent IS NULL; UPDATE accounts SET path = 'x' WHERE parent IS NOT NULL; DELETE FROM devices WHERE id = (SELECT MIN(id) FROM devices); UPDATE devices SET grp = 'grp_none', place = (9 - place) << 6; DELETE FROM audit_hours")
	found, err := s.Verify(t.Context())
	text := strings.Join(found, "\n")
	for _, want := range []string{"counts 9, has 2", "path is not", "a site without a device", "in a group that is not", "place is not in its order", "searches do not find", "a device that is not there", "not found by its time"} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("%v; no %q in\n%s", err, want, text)
		}
	}
}

// A database of the first schema, with rows as the program of then wrote them,
// moves forward.
func TestFirstVersionsDatabaseMovesForward(t *testing.T) {
	for name, open := range map[string]func(*testing.T, string) *store.Store{
		"sqlite": func(t *testing.T, dump string) *store.Store {
			path := filepath.Join(t.TempDir(), "old.db")
			store.AtFirstSchema(t, path, dump)
			return openSQLite(t, path)
		},
		// No PostgreSQL of version 1 was released: it is the same rows, on the
		// first migration alone.
		"postgres": func(t *testing.T, dump string) *store.Store {
			url := pgtest.URL(t)
			store.AtFirstSchemaPostgres(t, url, dump)
			return openPostgres(t, url)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dump, err := os.ReadFile("testdata/version1.sql")
			if err != nil {
				t.Fatal(err)
			}
			old(t, open(t, string(dump)))
		})
	}
}

func old(t *testing.T, s *store.Store) {
	err := s.View(t.Context(), func(tx fleet.Tx) error {
		root, err := tx.Root()
		if err != nil {
			return err
		}
		if root.Used != 2 || root.Path != string(root.ID)+"/" || root.Name != "Provider" {
			t.Errorf("account %+v", root)
		}
		ds, err1 := tx.Devices(root.ID, fleet.DeviceQuery{Limit: 10, Search: "sn-000", Seen: fleet.GroupFilter{Except: true}})
		if len(ds.Items) != 2 || ds.Items[0].Name != "Alpha" || len(ds.Items[0].Key) != 32 || ds.Items[0].OverCapacity || ds.Items[0].Created != ds.Items[0].Activated {
			t.Errorf("devices %+v", ds)
		}
		vs, err2 := tx.Visits(root.ID, fleet.VisitQuery{Limit: 10})
		if len(vs.Items) != 1 || vs.Items[0].BytesOut != 2048 {
			t.Errorf("visits %+v", vs)
		}
		as, err3 := tx.Audit(root.ID, true, fleet.AuditQuery{Limit: 10})
		if len(as.Items) != 2 || as.Items[1].Action != "account.create" {
			t.Errorf("audit %+v", as)
		}
		u, err4 := tx.UserByEmail("owner@example.com")
		if u.Disabled || u.Role != fleet.RoleOwner || u.Hash != "argon" {
			t.Errorf("user %+v", u)
		}
		keys, err5 := tx.SigningKeys()
		seals, err6 := tx.SealKeys()
		revoked, err7 := tx.Revocations()
		if len(keys) != 1 || len(seals) != 1 || len(revoked) != 1 {
			t.Errorf("%d and %d keys, %d revocations", len(keys), len(seals), len(revoked))
		}
		return errors.Join(err1, err2, err3, err4, err5, err6, err7)
	})
	if err != nil {
		t.Error(err)
	}
	if found, err := s.Verify(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// PostgreSQL's texts for searches are apart from the devices.
func TestVerifyFindsDevicesThatSearchesMiss(t *testing.T) {
	url := storetest.Postgres(t)
	s := openPostgres(t, url)
	seed(t, s, 3, 0)
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE device_texts SET search = 'x', since = 7 WHERE id = (SELECT MIN(id) FROM device_texts); DELETE FROM device_texts WHERE id = (SELECT MAX(id) FROM device_texts)"); err != nil {
		t.Fatal(err)
	}
	found, err := s.Verify(t.Context())
	if err != nil || len(found) != 2 || !strings.HasPrefix(found[0], "a device that searches do not find") {
		t.Errorf("%v, %v; want the two", found, err)
	}
	if _, err := db.Exec("UPDATE device_texts t SET search = d.search, since = d.since FROM devices d WHERE d.id = t.id; INSERT INTO device_texts SELECT id, account, sort_name, search, since FROM devices ON CONFLICT DO NOTHING"); err != nil {
		t.Fatal(err)
	}
	if err := s.IndexTexts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found, err := s.Verify(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("%v, %v; it was mended", found, err)
	}
	if _, err := db.Exec(`UPDATE range_pieces SET ranges = '\x00' WHERE piece = 'tri'`); err != nil {
		t.Fatal(err)
	}
	found, err = s.Verify(t.Context())
	if err != nil || len(found) != 3 || !strings.HasPrefix(found[0], "a device that searches pass over") {
		t.Errorf("%v, %v; want all three", found, err)
	}
}
