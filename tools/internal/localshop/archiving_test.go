package localshop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/state"
)

// lines are those of a log.
type lines chan []byte

func (l lines) Write(line []byte) (int, error) {
	l <- bytes.Clone(line)
	return len(line), nil
}

// TestArchivingThatFails: the repository is replaced by a file; that is logged once, and so is that
// the archiving goes on when the repository is back.
func TestArchivingThatFails(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("pgbackrest"); err != nil {
		t.Skip(err)
	}
	folder := pgtest.Folder(t)
	repository := filepath.Join(folder, "backups")
	dir := filepath.Join(folder, "data")
	_, s := archived(t, dir, repository)
	conn, err := pgx.Connect(t.Context(), s.superuser())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	archive := func() {
		t.Helper()
		if err := errors.Join(execute(t.Context(), conn, "SELECT pg_current_xact_id()"), execute(t.Context(), conn, "SELECT pg_switch_wal()")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	logged := make(lines, 10_000)
	next := func(level, message string) {
		t.Helper()
		var entry struct{ Level, Msg, Error string }
		select {
		case line := <-logged:
			if err := json.Unmarshal(line, &entry); err != nil {
				t.Fatal(err)
			}
		case <-ctx.Done():
			t.Fatalf("not logged: %s %q", level, message)
		}
		if entry.Level != level || entry.Msg != message || level == "ERROR" && !strings.Contains(entry.Error, repository) {
			t.Fatalf("logged %+v, not %s %q", entry, level, message)
		}
	}
	looks, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		_ = watchArchiving(ctx, slog.New(slog.NewJSONHandler(logged, nil)), time.Millisecond, func(ctx context.Context) error {
			err := checkArchiving(ctx, s.superuser(), repository)
			select {
			case looks <- err:
			default:
			}
			return err
		})
	}()

	if err := errors.Join(os.Rename(repository, repository+".away"), os.WriteFile(repository, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	archive()
	next("ERROR", "postgres does not archive its log")
	for range 3 { // none of them is logged: the next line is of the end
		var err error
		select {
		case err = <-looks:
		case <-ctx.Done():
			t.Fatal("no look")
		}
		failure, failed := errors.AsType[*ArchivingError](err)
		if !failed || failure.Repository != repository || failure.Failed == 0 {
			t.Errorf("while it fails: %v", err)
		}
	}
	if err := state.Write(dir, &state.State{PIDs: map[string]int{"up": os.Getpid()}, Superuser: s.superuser()}); err != nil {
		t.Fatal(err)
	}
	_, err = Backup(t.Context(), dir, false)
	if _, failed := errors.AsType[*ArchivingError](err); !failed {
		t.Errorf("a backup meanwhile: %v", err)
	}
	if err := errors.Join(os.Remove(repository), os.Rename(repository+".away", repository)); err != nil {
		t.Fatal(err)
	}
	archive()
	next("INFO", "postgres archives its log again")
	stop()
	<-ended
}
