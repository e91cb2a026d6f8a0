package localshop_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// notPermitted is PostgreSQL's code for what a role may not do.
const notPermitted = "42501"

// ddl is what no service may do with a table, or anywhere; %s is the table.
var ddl = []string{
	"ALTER TABLE %s ADD COLUMN extra text", "DROP TABLE %s CASCADE", "TRUNCATE %s CASCADE", "CREATE INDEX ON %s ((1))",
	"ALTER TABLE %s DISABLE TRIGGER ALL", "ALTER TABLE %s RENAME TO other", "ALTER TABLE %s OWNER TO CURRENT_USER", "REINDEX TABLE %s",
	"CREATE TRIGGER extra BEFORE INSERT ON %s EXECUTE FUNCTION suppress_redundant_updates_trigger()",
	"CREATE TABLE extra ()", "CREATE TEMPORARY TABLE extra ()", "CREATE VIEW extra AS SELECT 1", "CREATE SEQUENCE extra", "CREATE TYPE extra AS ENUM ()",
	"CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE SCHEMA extra", "CREATE EXTENSION tablefunc",
	"CREATE ROLE extra", "CREATE PUBLICATION extra FOR ALL TABLES", "SET session_replication_role = replica",
	"COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('postgresql.conf')", "SELECT lo_import('/etc/passwd')",
}

// onlyAppended have what happened. Their entries stay, whatever a service is made to do.
var onlyAppended = map[string][]string{
	"catalog": {"restocks", "adjustments", "adjustment_lines"},
	"order":   {"order_history", "refund_lines"},
	"payment": {"ledger_entries", "reconciliation_differences"},
}

// unreached are the tables that no service touches itself: the audit log is appended to by
// a function, which runs with its owner's rights.
var unreached = []string{"souk_audit", "souk_audit_head"}

// ofTools are the tables of what tools keep, as the owner, of a service's: souk archive.
var ofTools = map[string][]string{"order": {"archives", "archived_units"}, "payment": {"archives"}}

// TestRuntimeRoles: the role of each service can change no schema, no history and no audit
// log, and has no other database.
func TestRuntimeRoles(t *testing.T) {
	t.Parallel()
	shop := start(t, localshop.Options{Dir: pgtest.Folder(t)})
	for _, service := range topology.Databases() {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			dsn := shop.RuntimeDSN(service)
			db := dial(t, dsn)
			if err := pg.CheckRole(t.Context(), db); err != nil {
				t.Error(err)
			}
			if err := pg.CheckRole(t.Context(), dial(t, shop.DSN(service))); err == nil {
				t.Error("the owner is taken for a runtime role")
			}
			tables := rows(t, dial(t, shop.DSN(service)), "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace")
			unreached := slices.Concat(unreached, ofTools[service])
			if len(tables) < 5 {
				t.Fatalf("tables %q", tables)
			}
			for _, table := range tables {
				for _, sql := range ddl {
					mayNot(t, db, strings.ReplaceAll(sql, "%s", table))
				}
				granted := rows(t, db, "SELECT p FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS p WHERE has_table_privilege('"+table+"', p)")
				if len(granted) == 0 != slices.Contains(unreached, table) {
					t.Errorf("%s: granted %q; what the service does with it belongs into the grants.sql beside the migration that made it", table, granted)
				}
			}
			for _, table := range slices.Concat(onlyAppended[service], unreached) {
				for _, sql := range []string{"UPDATE %s SET %c = %c", "DELETE FROM %s", "SELECT * FROM %s FOR UPDATE", "MERGE INTO %s USING (SELECT) AS o ON true WHEN MATCHED THEN DELETE"} {
					column := rows(t, db, "SELECT attname FROM pg_attribute WHERE attrelid = '"+table+"'::regclass AND attnum = 2")[0]
					mayNot(t, db, strings.NewReplacer("%s", table, "%c", column).Replace(sql))
				}
			}
			mayNot(t, db, "INSERT INTO souk_audit SELECT * FROM souk_audit")
			mayNot(t, db, "UPDATE souk_audit_head SET sequence = 0")
			mayNot(t, db, "DELETE FROM goose_db_version")
			mayNot(t, db, "DROP FUNCTION souk_audit_append")
			mayNot(t, db, "SELECT souk_audit_prune('eve', now() - interval '1 day')")
			mayNot(t, db, `SET ROLE "`+service+`"`)
			mayNot(t, db, `GRANT "`+service+`" TO CURRENT_USER`)
			if _, err := db.Exec(t.Context(), "BEGIN; SELECT souk_audit_append('ann', '', 'act', 'object', '', '', ''); ROLLBACK"); err != nil {
				t.Errorf("append to the audit log: %v", err)
			}
			if _, err := db.Exec(t.Context(), "SELECT * FROM souk_audit_list(0, '', '', NULL, p_until => NULL, p_most => 1)"); err != nil {
				t.Errorf("read the audit log: %v", err)
			}
			for _, dsn := range []string{dsn, shop.DSN(service)} {
				apart(t, dsn, service)
			}
		})
	}
}

// apart fails the test unless a role reaches its own database and no other.
func apart(t *testing.T, dsn, own string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	for _, database := range append(topology.Databases(), "postgres", "template1") {
		cfg.Database = database
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err == nil {
			conn.Close(t.Context())
		}
		if (err == nil) != (database == own) {
			t.Errorf("%s on %s: %v", cfg.User, database, err)
		}
	}
}

// mayNot fails the test unless a statement is refused for want of a right. What it does
// all the same is rolled back.
func mayNot(t *testing.T, db *pgx.Conn, sql string) {
	t.Helper()
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), sql)
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != notPermitted {
		t.Errorf("%s: %v", sql, err)
	}
}

func rows(t *testing.T, db *pgx.Conn, sql string) []string {
	t.Helper()
	found, err := db.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

func dial(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// TestDatabasesOfOneRole: a data folder whose databases have one role each, which does
// everything, gets the second one, and the shop goes on with it.
func TestDatabasesOfOneRole(t *testing.T) {
	t.Parallel()
	dir := pgtest.Folder(t)
	shop, err := localshop.Start(t.Context(), localshop.Options{Dir: dir, Seed: true, Disposable: true})
	if err != nil {
		t.Fatal(err)
	}
	before := buy(t, shop, popular(t, shop).Variants[0].SKU)
	stop(t, shop)
	forgetRuntimeRoles(t, dir)

	again := start(t, localshop.Options{Dir: dir, Seed: true})
	if kept := rows(t, dial(t, again.RuntimeDSN("order")), "SELECT id::text FROM orders"); !slices.Contains(kept, before.ID) {
		t.Errorf("orders %q", kept)
	}
	buy(t, again, popular(t, again).Variants[0].SKU)
	mayNot(t, dial(t, again.RuntimeDSN("order")), "TRUNCATE orders CASCADE")
}

// forgetRuntimeRoles takes a folder back to what it was before there were two roles.
func forgetRuntimeRoles(t *testing.T, dir string) {
	t.Helper()
	server, err := pgserver.Start(t.Context(), pgserver.Options{Dir: filepath.Join(dir, "postgres"), Disposable: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "secrets.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]any{}
	if err := json.Unmarshal(text, &secrets); err != nil {
		t.Fatal(err)
	}
	passwords, _ := secrets["postgres"].(map[string]any)
	for _, database := range topology.Databases() {
		role := topology.RuntimeRole(database)
		conn := dial(t, server.SuperuserDSN(database))
		for _, sql := range []string{"DROP OWNED BY " + role, "DROP ROLE " + role, "GRANT TEMPORARY ON DATABASE \"" + database + "\" TO PUBLIC"} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		delete(passwords, role)
	}
	if text, err = json.Marshal(secrets); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, text, 0o600), server.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
}
