package localshop

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// killAt names the step at which RestoreUntilKilled is killed.
const killAt = "SOUK_TEST_KILL_AT"

// RestoreUntilKilled restores to the end of the log, and kills its own process at a step.
func RestoreUntilKilled(dir string) error {
	_, err := Restore(context.Background(), dir, RestoreOptions{Progress: func(text string) {
		if strings.HasPrefix(text, os.Getenv(killAt)) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}})
	return err
}

// archived starts the server of a data folder alone, archiving, with a backup that it can be restored from.
func archived(t *testing.T, dir, repository string) (*Postgres, *Shop) {
	t.Helper()
	f, err := openFolder(dir, false)
	if err == nil {
		_, err = f.keepBackups(repository, time.Now())
		err = errors.Join(err, f.close())
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := StartPostgres(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) }) // a second one does nothing
	s := &Shop{postgres: p, log: slog.New(slog.DiscardHandler)}
	if s.backups, err = p.folder.readBackups(); err != nil {
		t.Fatal(err)
	}
	if err := s.startArchive(t.Context(), s.superuser()); err != nil {
		t.Fatal(err)
	}
	return p, s
}

// TestARestoreThatIsKilled: after a SIGKILL at any step no shop starts on what is left, and the next
// restore puts back what was set aside before it restores.
func TestARestoreThatIsKilled(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("pgbackrest"); err != nil {
		t.Skip(err)
	}
	folder := pgtest.Folder(t)
	dir := filepath.Join(folder, "data")
	p, s := archived(t, dir, filepath.Join(folder, "backups"))
	if err := s.archive.Backup(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	have, err := s.backups.report(t.Context(), s.archive)
	if err != nil || len(have.Backups) != 1 {
		t.Fatalf("%+v, %v", have, err)
	}
	conn, err := pgx.Connect(t.Context(), s.superuser())
	if err == nil {
		err = errors.Join(execute(t.Context(), conn, "CREATE TABLE kept ()"), conn.Close(t.Context()))
	}
	if err := errors.Join(err, p.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	broker := filepath.Join(dir, topology.NATS, "stream")
	if err := os.MkdirAll(broker, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := retry.Sleep(t.Context(), time.Until(have.From)); err != nil { // pgBackRest knows whole seconds
		t.Fatal(err)
	}
	for _, step := range []string{"setting aside", "restoring the backup", "replaying the log", "setting the relays"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "restore", dir)
		cmd.Env = append(os.Environ(), killAt+"="+step)
		out, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%s: %v\n%s", step, err, out)
		}
		// Not even one that is to archive nothing, or elsewhere, from now on.
		for _, repository := range []string{"", NoBackups, filepath.Join(folder, "other")} {
			shop, err := Start(t.Context(), Options{Dir: dir, Disposable: true, Backups: repository})
			if !errors.Is(err, ErrRestoreInterrupted) {
				t.Errorf("%s: a start with backups %q: %v", step, repository, err)
			}
			if err == nil {
				_ = shop.Stop(t.Context())
			}
		}
		if _, err := StartPostgres(t.Context(), dir); !errors.Is(err, ErrRestoreInterrupted) {
			t.Errorf("%s: a start of PostgreSQL: %v", step, err)
		}
	}
	// One that is refused puts back, too.
	if _, err := Restore(t.Context(), dir, RestoreOptions{To: time.Now().Add(time.Hour)}); err == nil {
		t.Error("restored to what is to come")
	}
	if _, err := os.Stat(broker); err != nil {
		t.Errorf("the broker's data is not put back: %v", err)
	}
	restored, err := Restore(t.Context(), dir, RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	aside, err := filepath.Glob(filepath.Join(dir, "*", "data.before-*"))
	if err != nil || len(aside) != 1 || len(restored.Aside) != 2 || aside[0] != restored.Aside[0] {
		t.Errorf("set aside: %q, of which the restore says %q, %v", aside, restored.Aside, err)
	}
	if p, err = StartPostgres(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	if conn, err = pgx.Connect(t.Context(), p.server.SuperuserDSN("postgres")); err == nil {
		err = errors.Join(execute(t.Context(), conn, "SELECT FROM kept"), conn.Close(t.Context()))
	}
	if err != nil {
		t.Error(err)
	}
}

// TestPutBack: folders as a kill between any two steps leaves them, of the restore and of putting back.
func TestPutBack(t *testing.T) {
	t.Parallel()
	const suffix = ".before-x"
	for name, c := range map[string]struct {
		there, aside, missing, fails bool
		want                         string
	}{
		"not moved yet":              {there: true, want: "there"},
		"moved":                      {aside: true, want: "aside"},
		"moved, and restored":        {there: true, aside: true, want: "aside"},
		"none was there":             {missing: true},
		"none was there, restored":   {there: true, missing: true},
		"lost in the meantime":       {fails: true},
		"another's of the same name": {aside: true, missing: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := openFolder(t.TempDir(), false)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.close() })
			for path, wanted := range map[string]bool{f.join("data"): c.there, f.join("data" + suffix): c.aside} {
				if wanted {
					name := map[bool]string{true: "aside", false: "there"}[strings.HasSuffix(path, suffix)]
					if err := os.MkdirAll(filepath.Join(path, name), 0o700); err != nil {
						t.Fatal(err)
					}
				}
			}
			u := &underWay{Suffix: suffix, Folders: []replaced{{Path: f.relative(f.join("data")), Missing: c.missing}}}
			if err := f.noteUnderWay(u); err != nil {
				t.Fatal(err)
			}
			err = f.putBackInterrupted(t.Context(), func(string) {})
			if c.fails != (err != nil) || c.fails != errors.Is(f.checkWhole(), ErrRestoreInterrupted) {
				t.Errorf("put back: %v; then %v", err, f.checkWhole())
			}
			entries, _ := os.ReadDir(f.join("data"))
			got := ""
			for _, e := range entries {
				got += e.Name()
			}
			if got != c.want {
				t.Errorf("the folder has %q, not %q", got, c.want)
			}
			if _, err := os.Stat(f.join(backupsName)); !c.fails && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a folder without backups has a file of them: %v", err)
			}
		})
	}
}
