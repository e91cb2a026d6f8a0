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
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
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
			err := checkArchiving(ctx, s.superuser(), repository, archivingPatience)
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

// TestArchivingThatHangs: a command that does not end fails never, and is told all the same once a piece
// of log has waited for long, unless another one was archived meanwhile.
func TestArchivingThatHangs(t *testing.T) {
	t.Parallel()
	folder := pgtest.Folder(t)
	hang := filepath.Join(folder, "hang")
	if err := syscall.Mkfifo(hang, 0o644); err != nil { // PostgreSQL's user reads it
		t.Fatal(err)
	}
	server, err := pgserver.Start(t.Context(), pgserver.Options{
		Dir: filepath.Join(folder, "server"), Disposable: true, Log: slog.New(slog.DiscardHandler),
		Settings: map[string]string{"wal_level": "replica", "archive_mode": "on",
			// The first piece is archived at once, and the next not before the FIFO has a writer.
			"archive_command": "test ! -p '" + hang + "' || test -e '" + folder + "/%f' || cat '" + hang + "'"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	release := func() error {
		writer, err := os.OpenFile(hang, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return errors.Join(os.Remove(hang), writer.Close())
	}
	t.Cleanup(func() { _ = release() }) // a server that stops waits for the command
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	dsn := server.SuperuserDSN("postgres")
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	var first, data string
	if err := conn.QueryRow(ctx, "SELECT pg_walfile_name(pg_current_wal_lsn()), current_setting('data_directory')").Scan(&first, &data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, first), nil, 0o644); err != nil { // PostgreSQL's user reads it
		t.Fatal(err)
	}
	for range 2 {
		if err := errors.Join(execute(ctx, conn, "SELECT pg_current_xact_id()"), execute(ctx, conn, "SELECT pg_switch_wal()")); err != nil {
			t.Fatal(err)
		}
	}
	until := func(what string, patience time.Duration, is func(error) bool) {
		t.Helper()
		for {
			err := checkArchiving(ctx, dsn, "the repository", patience)
			if is(err) {
				return
			}
			if retry.Sleep(ctx, 10*time.Millisecond) != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	var waits string
	until("while it hangs", 0, func(err error) bool {
		failure, failed := errors.AsType[*ArchivingError](err)
		if failed {
			waits = failure.Segment
		}
		return failed && failure.Hangs && len(waits) == 24 && waits != first && strings.Contains(failure.Error(), "the repository: "+failure.Segment+" has waited since")
	})
	if err := checkArchiving(ctx, dsn, "the repository", time.Hour); err != nil {
		t.Errorf("while it has not waited for long: %v", err)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(data, "pg_wal", "archive_status", waits+".ready"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := checkArchiving(ctx, dsn, "the repository", time.Hour); err != nil {
		t.Errorf("while it catches up: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	until("once it goes on", 0, func(err error) bool { return err == nil })
}
