package localshop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// watchArchivingEvery is how often a shop looks whether its log is archived, and
	// archivingTimeout bounds a look.
	watchArchivingEvery = 30 * time.Second
	archivingTimeout    = 10 * time.Second
	// archivingPatience is for how long a piece of log may wait, and none be archived, without an attempt
	// that failed: an attempt that hangs fails never.
	archivingPatience = 2 * time.Minute
)

// archivingAdvice is what an operator does about a log that is not archived.
const archivingAdvice = "the log is kept in pg_wal until it is archived, and fills the disk; what is committed meanwhile is lost with the disk. " +
	"See that the repository is there, writable and not full; pgBackRest's error is in the log of PostgreSQL"

// ArchivingError means that the last attempt to archive a piece of log has failed, or hangs.
type ArchivingError struct {
	Repository string
	// Segment is the piece, and Since when the attempt failed, or from when on the piece waits.
	Segment string
	Since   time.Time
	// Hangs says that no attempt has ended.
	Hangs bool
	// Failed counts the attempts that failed since the server's statistics were reset.
	Failed int64
}

// Error implements error.
func (e *ArchivingError) Error() string {
	if e.Hangs {
		return fmt.Sprintf("PostgreSQL does not archive its log to %s: %s has waited since %s, and the attempt does not end: %s",
			e.Repository, e.Segment, zoned(e.Since.UTC()), archivingAdvice)
	}
	return fmt.Sprintf("PostgreSQL does not archive its log to %s: %s failed at %s (%d failures so far): %s",
		e.Repository, e.Segment, zoned(e.Since.UTC()), e.Failed, archivingAdvice)
}

// checkArchiving asks the primary that a DSN of its superuser leads to whether it archives its log:
// *ArchivingError if the last attempt has failed, or a piece has waited for longer than patience and none
// was archived meanwhile.
func checkArchiving(ctx context.Context, superuser, repository string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, archivingTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, superuser)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var failed bool
	e := &ArchivingError{Repository: repository}
	var segment *string
	var since *time.Time
	err = conn.QueryRow(ctx, `SELECT last_failed_time IS NOT NULL AND (last_archived_time IS NULL OR last_failed_time > last_archived_time),
		last_failed_wal, last_failed_time, failed_count FROM pg_stat_archiver`).Scan(&failed, &segment, &since, &e.Failed)
	if err == nil && !failed {
		// Pieces that wait behind others which are archived one by one, as after an outage, have waited
		// for long, too: no attempt hangs then.
		err = conn.QueryRow(ctx, `SELECT replace(name, '.ready', ''), modification FROM pg_ls_archive_statusdir(), pg_stat_archiver
			WHERE name LIKE '%.ready' AND greatest(modification, last_archived_time) < now() - $1::interval
			ORDER BY modification LIMIT 1`, patience).Scan(&segment, &since)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		e.Hangs = err == nil
	}
	if err != nil {
		return err
	}
	e.Segment, e.Since = *segment, *since
	return e
}

// watchArchiving logs when the archiving of the log begins to fail and when it goes on, until ctx ends.
// check is asked every so often; what it does not know, because no server answers, changes nothing.
func watchArchiving(ctx context.Context, log *slog.Logger, every time.Duration, check func(context.Context) error) error {
	fails := false
	// At a start the last attempt may be one of before: the server gets the time for another.
	for retry.Sleep(ctx, every) == nil {
		err := check(ctx)
		switch failure, failed := errors.AsType[*ArchivingError](err); {
		case failed && !fails:
			fails = true
			log.ErrorContext(ctx, "postgres does not archive its log", "error", failure)
		case err == nil && fails:
			fails = false
			log.InfoContext(ctx, "postgres archives its log again")
		}
	}
	return nil
}

// watchArchive watches the archiving of the primary, whichever it is.
func (s *Shop) watchArchive(ctx context.Context) error {
	return watchArchiving(ctx, s.log, watchArchivingEvery, func(ctx context.Context) error {
		return checkArchiving(ctx, s.superuser(), s.backups.Repository, archivingPatience)
	})
}
