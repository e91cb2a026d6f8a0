package localshop

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAShopDoesNotStartBesideItsData: the databases of a folder are those of one server or of three.
func TestAShopDoesNotStartBesideItsData(t *testing.T) {
	t.Parallel()
	for kind, other := range map[string]string{"": haName, HAPostgres: "postgres"} {
		dir := t.TempDir()
		if err := errors.Join(os.WriteFile(filepath.Join(dir, lockName), nil, 0o600), os.Mkdir(filepath.Join(dir, other), 0o700)); err != nil {
			t.Fatal(err)
		}
		_, err := Start(t.Context(), Options{Dir: dir, Postgres: kind})
		if err == nil || !strings.Contains(err.Error(), "--fresh") {
			t.Errorf("%q beside %s: %v", kind, other, err)
		}
	}
	if _, err := Start(t.Context(), Options{Dir: t.TempDir(), Postgres: "many"}); err == nil || !strings.Contains(err.Error(), `postgres "many"`) {
		t.Errorf("an unknown kind: %v", err)
	}
}
