package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// grantsFile, beside the migrations, has what the runtime role may do with what they
// make: statements GRANT privileges ON [SEQUENCE|FUNCTION] objects TO runtime.
const grantsFile = "grants.sql"

// grant is one statement of a grants file.
type grant struct {
	privileges []string // sorted
	kind       string   // TABLE, SEQUENCE or FUNCTION
	objects    []string // a function with the types of its arguments
}

var (
	comments       = regexp.MustCompile(`--[^\n]*`)
	grantStatement = regexp.MustCompile(`^GRANT ([A-Z, ]+) ON (?:(TABLE|SEQUENCE|FUNCTION) )?(.+) TO runtime$`)
	objectName     = regexp.MustCompile(`[a-z_][a-z0-9_]*(\([a-z, ]*\))?`)
)

// readGrants reads the grants file; there is none where no runtime role uses what the
// migrations make. versions is the table of applied migrations, which the readiness
// check reads.
func readGrants(migrations fs.FS, versions string) ([]grant, error) {
	out := []grant{{privileges: []string{"SELECT"}, kind: "TABLE", objects: []string{versions}}}
	text, err := fs.ReadFile(migrations, grantsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for statement := range strings.SplitSeq(comments.ReplaceAllString(string(text), ""), ";") {
		statement = strings.Join(strings.Fields(statement), " ")
		if statement == "" {
			continue
		}
		parts := grantStatement.FindStringSubmatch(statement)
		if parts == nil {
			return nil, fmt.Errorf("%s: not a GRANT ... ON ... TO runtime: %q", grantsFile, statement)
		}
		g := grant{kind: parts[2], objects: objectName.FindAllString(parts[3], -1)}
		if g.kind == "" {
			g.kind = "TABLE"
		}
		for privilege := range strings.SplitSeq(parts[1], ",") {
			g.privileges = append(g.privileges, strings.TrimSpace(privilege))
		}
		slices.Sort(g.privileges)
		out = append(out, g)
	}
	return out, nil
}

// runtimeRole is the role that migrations grant to, "" where one role does everything.
func (c Config) runtimeRole() (string, error) {
	if c.RuntimeRole != "" || c.OwnerDSN == "" || c.DSN == "" {
		return c.RuntimeRole, nil
	}
	parsed, err := pgx.ParseConfig(c.DSN.Reveal())
	if err != nil {
		return "", fmt.Errorf("postgres DSN: %w", err) // pgx redacts the password
	}
	return parsed.User, nil
}

// grantTo gives the runtime role what the grants say, and takes what they do not say, of
// the objects that they name. Where all is as it should be it writes nothing. It is run
// by the owner, in a transaction, so that a service never sees a part of it.
func grantTo(ctx context.Context, tx pgx.Tx, role, reader string, grants []grant) error {
	var itself bool
	if err := tx.QueryRow(ctx, "SELECT $1 = current_user", role).Scan(&itself); err != nil || itself {
		return err // the one that migrates owns everything
	}
	to := pgx.Identifier{role}.Sanitize()
	statements, err := databaseGrants(ctx, tx, role, reader)
	if err != nil {
		return err
	}
	var schema string
	var uses bool
	if err := tx.QueryRow(ctx, "SELECT current_schema(), has_schema_privilege($1, current_schema(), 'USAGE')", role).Scan(&schema, &uses); err != nil {
		return err
	}
	if !uses {
		statements = append(statements, "GRANT USAGE ON SCHEMA "+pgx.Identifier{schema}.Sanitize()+" TO "+to)
	}
	for _, g := range grants {
		for _, object := range g.objects {
			has, err := privilegesOn(ctx, tx, role, g.kind, object)
			if err != nil {
				return fmt.Errorf("%s: privileges on %s: %w", grantsFile, object, err)
			}
			on := " ON " + g.kind + " " + object
			if g.kind == "FUNCTION" {
				// A new one may be executed by everybody; a restored one is new.
				var public bool
				if err := tx.QueryRow(ctx, "SELECT has_function_privilege('public', $1::text::regprocedure, 'EXECUTE')", object).Scan(&public); err != nil {
					return fmt.Errorf("%s: privileges on %s: %w", grantsFile, object, err)
				}
				if public {
					statements = append(statements, "REVOKE ALL"+on+" FROM PUBLIC")
				}
			}
			if slices.Equal(has, g.privileges) {
				continue
			}
			statements = append(statements, "REVOKE ALL"+on+" FROM "+to, "GRANT "+strings.Join(g.privileges, ", ")+on+" TO "+to)
		}
	}
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// databaseGrants are the statements that leave a database to its owner, the runtime role
// and, unless it is "", the reader: both connect by a grant of their own, and PUBLIC has
// nothing, neither to connect nor to make temporary tables. Who made the database may have
// done so already; where another role than this one owns it, PUBLIC keeps what it has.
func databaseGrants(ctx context.Context, tx pgx.Tx, role, reader string) (statements []string, err error) {
	const acl = "aclexplode(coalesce(datacl, acldefault('d', datdba)))"
	var database string
	var owned, public bool
	if err := tx.QueryRow(ctx, `SELECT datname::text, pg_has_role(datdba, 'USAGE'), EXISTS (SELECT FROM `+acl+` WHERE grantee = 0)
		FROM pg_database WHERE datname = current_database()`).Scan(&database, &owned, &public); err != nil {
		return nil, fmt.Errorf("privileges on the database: %w", err)
	}
	on := " ON DATABASE " + pgx.Identifier{database}.Sanitize()
	for _, name := range []string{role, reader} {
		if name == "" {
			continue
		}
		var known, granted, connects bool
		if err := tx.QueryRow(ctx, `SELECT r.rolname IS NOT NULL, EXISTS (SELECT FROM `+acl+` WHERE grantee = r.oid AND privilege_type = 'CONNECT'),
			coalesce(has_database_privilege(r.oid, d.oid, 'CONNECT'), false)
			FROM pg_database d LEFT JOIN pg_roles r ON r.rolname = $1 WHERE datname = current_database()`, name).Scan(&known, &granted, &connects); err != nil {
			return nil, fmt.Errorf("privileges of role %q on the database: %w", name, err)
		}
		if !known {
			return nil, fmt.Errorf("there is no role %q: docs/configuration.md says how it is made", name)
		}
		if granted || connects && !owned {
			continue
		}
		statements = append(statements, "GRANT CONNECT"+on+" TO "+pgx.Identifier{name}.Sanitize())
	}
	if owned && public {
		statements = append(statements, "REVOKE ALL"+on+" FROM PUBLIC")
	}
	return statements, nil
}

// privilegesOn are a role's own on an object, sorted.
func privilegesOn(ctx context.Context, tx pgx.Tx, role, kind, object string) (has []string, err error) {
	acl := "(SELECT relacl FROM pg_class WHERE oid = $2::text::regclass)"
	if kind == "FUNCTION" {
		acl = "(SELECT proacl FROM pg_proc WHERE oid = $2::text::regprocedure)"
	}
	err = tx.QueryRow(ctx, `SELECT coalesce(array_agg(a.privilege_type ORDER BY a.privilege_type COLLATE "C"), '{}')
		FROM aclexplode(`+acl+`) a JOIN pg_roles r ON r.oid = a.grantee WHERE r.rolname = $1`, role, object).Scan(&has)
	return has, err
}

// NotGrantedError means that the database is migrated, but that the role of this
// connection lacks what the service needs.
type NotGrantedError struct {
	Role    string
	Missing string // "INSERT, SELECT on orders; ..."
}

// Error implements error.
func (e *NotGrantedError) Error() string {
	return fmt.Sprintf("role %q lacks %s: migrate grants it to the role that ..._POSTGRES_RUNTIME_ROLE or ..._POSTGRES_DSN names", e.Role, e.Missing)
}

// missing asks which privileges on tables the present role lacks. A table that is not
// there is none of a database that is newer or not migrated yet.
const missing = `
SELECT current_user::text, coalesce(string_agg(privileges || ' on ' || name, '; ' ORDER BY name), '') FROM (
    SELECT name, string_agg(privilege, ', ' ORDER BY privilege) AS privileges
    FROM unnest($1::text[], $2::text[]) AS g (name, privilege)
    WHERE NOT has_table_privilege(to_regclass(name), privilege)
    GROUP BY name
) AS lacking`

// granted returns a *NotGrantedError while the present role lacks what the grants say.
func granted(ctx context.Context, db Queryer, grants []grant) error {
	var tables, privileges []string
	for _, g := range grants {
		if g.kind != "TABLE" {
			continue
		}
		for _, table := range g.objects {
			for _, privilege := range g.privileges {
				tables, privileges = append(tables, table), append(privileges, privilege)
			}
		}
	}
	var e NotGrantedError
	if err := db.QueryRow(ctx, missing, tables, privileges).Scan(&e.Role, &e.Missing); err != nil {
		return err
	}
	if e.Missing != "" {
		return &e
	}
	return nil
}
