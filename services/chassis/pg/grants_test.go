package pg_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// A database that PUBLIC may use, as one that an operator made for a release with one role,
// is the owner's, the runtime role's and the reader's after its next migration. Until the
// roles are there the migration says which one is missing; it can then be repeated.
func TestMigrationLeavesTheDatabaseToItsRoles(t *testing.T) {
	t.Parallel()
	admin := open(t, pg.Config{DSN: config.Secret(pgtest.New(t, nil))})
	database := admin.Config().ConnConfig.Database
	owner, runtime, reader := database+"_owner", database+"_runtime", database+"_reader"
	run := func(statement string, names ...string) {
		t.Helper()
		for _, name := range names {
			statement = strings.Replace(statement, "?", pgx.Identifier{name}.Sanitize(), 1)
		}
		if _, err := admin.Exec(context.WithoutCancel(t.Context()), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	as := func(role string) config.Secret {
		dsn, err := url.Parse(admin.Config().ConnString())
		if err != nil {
			t.Fatal(err)
		}
		dsn.User = url.UserPassword(role, "secret")
		return config.Secret(dsn.String())
	}
	run("CREATE ROLE ? LOGIN PASSWORD 'secret'", owner)
	t.Cleanup(func() {
		run("REASSIGN OWNED BY ? TO CURRENT_USER", owner)
		run("DROP OWNED BY ?", owner)
		run("DROP ROLE ?", owner)
	})
	run("ALTER DATABASE ? OWNER TO ?", database, owner)
	run("GRANT CREATE ON SCHEMA public TO ?", owner)

	cfg := pg.Config{OwnerDSN: as(owner), RuntimeRole: runtime, ReaderRole: reader}
	for _, missing := range []string{runtime, reader} {
		if err := pg.Migrate(t.Context(), cfg, accounts, quiet); err == nil || !strings.Contains(err.Error(), `there is no role "`+missing+`"`) {
			t.Fatalf("without the role %s: %v", missing, err)
		}
		run("CREATE ROLE ? LOGIN PASSWORD 'secret'", missing)
		t.Cleanup(func() { run("DROP OWNED BY ?", missing); run("DROP ROLE ?", missing) })
	}
	for range 2 { // again, with nothing left to do
		if err := pg.Migrate(t.Context(), cfg, accounts, quiet); err != nil {
			t.Fatal(err)
		}
	}
	for role, want := range map[string]bool{owner: true, runtime: true, reader: true, "public": false} {
		var connects, makes bool
		if err := admin.QueryRow(t.Context(), "SELECT has_database_privilege($1, current_database(), 'CONNECT'), has_database_privilege($1, current_database(), 'TEMPORARY')", role).
			Scan(&connects, &makes); err != nil {
			t.Fatal(err)
		}
		if connects != want || makes != (role == owner) {
			t.Errorf("%s may connect: %v, make temporary tables: %v", role, connects, makes)
		}
	}
	if err := pg.CheckRole(t.Context(), open(t, pg.Config{DSN: as(runtime)})); err != nil {
		t.Error(err)
	}
}
