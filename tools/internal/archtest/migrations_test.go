package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unreleased are migrations that hold up writers of a table that was there before.
// They are from before the first release: no shop runs a version without them.
var unreleased = []string{
	"cart/00003_orders.sql", "catalog/00002_search.sql", "catalog/00003_search_popularity.sql", "catalog/00004_names.sql",
	"order/00002_find.sql", "payment/00003_strays.sql", "payment/00004_reviews.sql", "payment/00005_reconciliations.sql",
}

// blocking are statements that read or write the whole of a table while they lock it.
// The table is the first group.
var blocking = []struct {
	*regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?i)^CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?\S+ ON (\S+)`), "CREATE INDEX CONCURRENTLY, after DROP INDEX CONCURRENTLY IF EXISTS, in a migration with NO TRANSACTION"},
	{regexp.MustCompile(`(?i)^(?:DROP INDEX) (?:IF EXISTS )?(\S+)`), "DROP INDEX CONCURRENTLY in a migration with NO TRANSACTION"},
	{regexp.MustCompile(`(?is)^ALTER TABLE (?:IF EXISTS |ONLY )*(\S+).*\bALTER (?:COLUMN )?\S+ (?:SET DATA )?TYPE\b`), "a new column, filled in batches"},
	{regexp.MustCompile(`(?is)^ALTER TABLE (?:IF EXISTS |ONLY )*(\S+).*\bSET NOT NULL\b`), "a CHECK that is NOT VALID, validated in the next migration"},
	{regexp.MustCompile(`(?is)^ALTER TABLE (?:IF EXISTS |ONLY )*(\S+).*\bADD (?:COLUMN )?[^,]*\b(?:GENERATED|gen_random_uuid|random|clock_timestamp|nextval)\b`), "a column with a constant default, filled in batches"},
	{regexp.MustCompile(`(?is)^ALTER TABLE (?:IF EXISTS |ONLY )*(\S+).*\bADD (?:CONSTRAINT|CHECK|FOREIGN|UNIQUE|PRIMARY)\b`), "NOT VALID and VALIDATE CONSTRAINT in the next migration, or USING INDEX"},
	{regexp.MustCompile(`(?i)^(?:UPDATE|DELETE FROM) (\S+)`), "batches, which the service writes"},
	{regexp.MustCompile(`(?i)^LOCK TABLE (\S+)`), "triggers first, then batches"},
	{regexp.MustCompile(`(?i)^(?:CLUSTER|VACUUM FULL) (\S+)`), "nothing"},
}

var (
	goose     = regexp.MustCompile(`(?s)-- \+goose Up\n(.*?)(?:-- \+goose Down|$)`)
	bodies    = regexp.MustCompile(`(?s)\$\$.*?\$\$`)
	comments  = regexp.MustCompile(`--[^\n]*`)
	spaces    = regexp.MustCompile(`\s+`)
	invalid   = regexp.MustCompile(`(?is)\bNOT \S*indisvalid\b.*\bDROP INDEX\b.*\bCREATE INDEX CONCURRENTLY IF NOT EXISTS\b`)
	newTables = regexp.MustCompile(`(?i)\bCREATE TABLE (?:IF NOT EXISTS )?(\S+)`)
	harmless  = regexp.MustCompile(`(?i)\b(?:NOT VALID|USING INDEX)\b`)
)

// blocked are what a migration does to tables of before while writers wait.
func blocked(sql string) (found []string) {
	up := goose.FindStringSubmatch(sql)
	if up == nil {
		return []string{"has no part that goes up"}
	}
	text := comments.ReplaceAllString(bodies.ReplaceAllString(up[1], "$$$$"), "")
	var fresh []string
	for _, m := range newTables.FindAllStringSubmatch(text, -1) {
		fresh = append(fresh, m[1])
	}
	concurrently := 0
	for s := range strings.SplitSeq(text, ";") {
		s = strings.TrimSpace(spaces.ReplaceAllString(s, " "))
		if strings.Contains(strings.ToUpper(s), "INDEX CONCURRENTLY") {
			concurrently++
			kept := strings.Contains(strings.ToUpper(s), "IF NOT EXISTS") && invalid.MatchString(up[1])
			if strings.HasPrefix(strings.ToUpper(s), "CREATE") && concurrently < 2 && !kept {
				found = append(found, s+": a repeat finds the index of the attempt before, which is invalid; drop it first, IF EXISTS, or all that are invalid")
			}
			continue
		}
		for _, b := range blocking {
			m := b.FindStringSubmatch(s)
			if m != nil && !slices.Contains(fresh, strings.TrimSuffix(m[1], "(")) && !harmless.MatchString(s) {
				found = append(found, s+": instead, "+b.instead)
			}
		}
	}
	return found
}

// TestMigrationsLetWritersGo: a shop that is running goes on while it is migrated.
func TestMigrationsLetWritersGo(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../services/*/internal/postgres/migrations/*.sql")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, glob := range []string{"chassis/*/migrations/*.sql", "chassis/*/*/migrations/*.sql"} {
		chassis, err := filepath.Glob("../../../services/" + glob)
		if err != nil || len(chassis) < 1 {
			t.Fatal(chassis, err)
		}
		files = append(files, chassis...)
	}
	for _, file := range files {
		sql, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		service, _, _ := strings.Cut(strings.TrimPrefix(filepath.ToSlash(file), "../../../services/"), "/")
		name := service + "/" + filepath.Base(file)
		found := blocked(string(sql))
		if slices.Contains(unreleased, name) {
			if len(found) == 0 {
				t.Errorf("%s blocks nothing and need not be excepted", name)
			}
			continue
		}
		for _, s := range found {
			t.Errorf("%s: %s", name, s)
		}
	}
}

func TestBlocked(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]int{
		"CREATE TABLE t (x int); CREATE INDEX i ON t (x);":                           0,
		"CREATE INDEX i ON t (x);":                                                   1,
		"CREATE UNIQUE INDEX i ON t (x); DROP INDEX j;":                              2,
		"DROP INDEX CONCURRENTLY IF EXISTS i; CREATE INDEX CONCURRENTLY i ON t (x);": 0,
		"CREATE INDEX CONCURRENTLY i ON t (x);":                                      1,
		"CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (x);":                        1,
		"DO $$ SELECT FROM pg_index WHERE NOT indisvalid; EXECUTE 'DROP INDEX'; $$; CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (x);": 0,
		"ALTER TABLE t ADD COLUMN x int NOT NULL DEFAULT 0;":                                                                             0,
		"ALTER TABLE t ADD COLUMN x text GENERATED ALWAYS AS (lower(y)) STORED;":                                                         1,
		"ALTER TABLE t ALTER x TYPE bigint;":                                                                                             1,
		"ALTER TABLE t ALTER COLUMN x SET NOT NULL;":                                                                                     1,
		"ALTER TABLE t ADD CONSTRAINT c CHECK (x > 0);":                                                                                  1,
		"ALTER TABLE t ADD CONSTRAINT c CHECK (x > 0) NOT VALID;":                                                                        0,
		"UPDATE t SET x = 1;":                  1,
		"ALTER TABLE t VALIDATE CONSTRAINT c;": 0,
		"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ CREATE INDEX i ON t (x); $$;": 0,
	} {
		if found := blocked("-- +goose Up\n" + sql + "\n-- +goose Down\nDROP INDEX i;\n"); len(found) != want {
			t.Errorf("%s: %q", sql, found)
		}
	}
}
