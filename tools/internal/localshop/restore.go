package localshop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/patroni"
	"github.com/souk-shop/souk/tools/internal/pgbackrest"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// RestoreOptions say what the databases of a shop are restored to.
type RestoreOptions struct {
	// To is the moment; the zero time is the end of the log.
	To time.Time
	// Backups is the folder of the repository, where the data folder does not say it.
	Backups string
	// Progress is told what is being done; may be nil.
	Progress func(text string)
}

// Restored is what a restore came to.
type Restored struct {
	// Backup is the label of the backup that it began with.
	Backup string
	// Last is when the last transaction was committed that the databases have.
	Last time.Time
	// Aside are the folders with what was there before.
	Aside []string
	// Took is the time of all of it, Replayed that of the log.
	Took, Replayed time.Duration
}

// RangeError is a moment that the databases cannot be restored to.
type RangeError struct {
	To, From, Until time.Time
	// Undone is the restore that undid what was at To, if one did.
	Undone *restore
}

// Error implements error.
func (e *RangeError) Error() string {
	if e.Undone != nil {
		return fmt.Sprintf("%s was undone at %s, when the databases were restored to %s: the folder that was set aside then has it",
			zoned(e.To), zoned(e.Undone.At), zoned(e.Undone.To))
	}
	return fmt.Sprintf("%s is not between %s and %s, which the backups and the log reach from and to", zoned(e.To), zoned(e.From), zoned(e.Until))
}

func zoned(t time.Time) string { return t.Truncate(time.Millisecond).Format(time.RFC3339Nano) }

// Restore brings all databases of a shop that does not run to one moment. What was there before is
// set aside, with the data of the shop's own broker, which has events of commits that are no
// longer: the relays publish their logs again to an empty one when the shop starts. A restore that fails leaves
// the data as it was.
func Restore(ctx context.Context, dir string, opts RestoreOptions) (_ *Restored, err error) {
	if opts.Progress == nil {
		opts.Progress = func(string) {}
	}
	f, err := openFolder(dir, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.putBackInterrupted(ctx, opts.Progress); err != nil {
		return nil, err
	}
	b, err := f.restoreFrom(opts.Backups)
	if err != nil {
		return nil, err
	}
	r := &restoring{RestoreOptions: opts, folder: f, backups: b, began: time.Now()}
	return r.run(ctx)
}

// restoring is a restore under way.
type restoring struct {
	RestoreOptions
	folder  *folder
	backups *backups
	// single says that there is one server; else there are three, of which one is restored.
	single  bool
	node    node
	archive *pgbackrest.Server
	began   time.Time
	// timeline is that of the data that was there; 0 without.
	timeline int
	// restored is that of the restored data.
	restored int
	done     Restored
}

func (r *restoring) run(ctx context.Context) (_ *Restored, err error) {
	if err := r.findNode(ctx); err != nil {
		return nil, err
	}
	if r.archive, err = r.node.archive(r.backups.Repository, ""); err != nil {
		return nil, err
	}
	if control, err := pgserver.ReadControl(ctx, r.node.data); err == nil { // else the data is lost
		r.timeline = control.Timeline
		r.backups.forget(control.Timeline)
	}
	// Before the data is touched: a moment that cannot be restored to is the likeliest mistake.
	backup, err := r.choose(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.archiveRest(ctx); err != nil {
		return nil, err
	}
	under, err := r.begin()
	if err != nil {
		return nil, err
	}
	if err := r.replace(ctx, backup, under); err != nil {
		return nil, errors.Join(err, r.folder.putBack(context.WithoutCancel(ctx), under))
	}
	for _, replaced := range under.Folders {
		if !replaced.Missing {
			r.done.Aside = append(r.done.Aside, r.folder.absolute(replaced.Path)+under.Suffix)
		}
	}
	r.done.Backup, r.done.Took = backup.Label, time.Since(r.began)
	return &r.done, nil
}

// begin notes what is going to be set aside: the data, and the copies of what it will no longer have.
func (r *restoring) begin() (*underWay, error) {
	data := r.node.data
	if !r.single {
		data = r.folder.join(haName)
	}
	u := &underWay{Suffix: ".before-" + r.began.UTC().Format("20060102T150405.000Z")}
	for _, path := range []string{data, r.folder.join(topology.NATS)} {
		if _, err := os.Lstat(path + u.Suffix); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, fmt.Errorf("%s is there already", path+u.Suffix))
		}
		_, err := os.Lstat(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		u.Folders = append(u.Folders, replaced{Path: r.folder.relative(path), Missing: err != nil})
	}
	return u, r.folder.noteUnderWay(u)
}

// replace sets aside what is there, restores the databases in its place and notes that it did.
func (r *restoring) replace(ctx context.Context, backup pgbackrest.Backup, under *underWay) error {
	r.Progress("setting aside what is there")
	for _, replaced := range under.Folders {
		if replaced.Missing {
			continue
		}
		path := r.folder.absolute(replaced.Path)
		if err := move(path, path+under.Suffix); err != nil {
			return err
		}
	}
	if !r.single {
		if err := r.renewCluster(under.Suffix); err != nil {
			return err
		}
	}
	if err := r.restoreData(ctx, backup); err != nil {
		return err
	}
	// A copy, which the shop makes again: it has what the databases no longer have.
	if err := os.RemoveAll(r.folder.join(topology.Replica)); err != nil {
		return err
	}
	// One write: the databases are what they were then, and no restore is under way.
	r.backups.Restores = append(r.backups.Restores, restore{To: r.target(), At: time.Now(), Timeline: r.restored})
	return r.folder.writeBackups(r.backups)
}

// target is the moment of the restore: when it began, for the end of the log.
func (r *restoring) target() time.Time {
	if r.To.IsZero() {
		return r.began
	}
	return r.To
}

// choose returns the newest backup that can be restored to the moment.
func (r *restoring) choose(ctx context.Context) (pgbackrest.Backup, error) {
	none := pgbackrest.Backup{}
	report, err := r.backups.report(ctx, r.archive)
	if err != nil {
		return none, err
	}
	if len(report.Backups) == 0 {
		return none, fmt.Errorf("%s has no backup: `souk backup` makes one of a running shop", r.backups.Repository)
	}
	to := r.target()
	if undone := r.backups.undone(to); undone != nil && !r.To.IsZero() {
		return none, &RangeError{To: to, Undone: undone}
	}
	if to.Before(report.From) || to.After(r.began) {
		return none, &RangeError{To: to, From: report.From, Until: r.began}
	}
	newest := report.Backups[0]
	for _, b := range report.Backups {
		if !restorable(b).After(to) {
			newest = b
		}
	}
	return newest, nil
}

// archiveRest has the server archive what it has not yet: of a shop that was killed, and of one
// that stopped while the repository was away. A commit is the last that it does, so that the log
// reaches beyond any moment until now. Data that is lost, or does not start, is left out.
func (r *restoring) archiveRest(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(r.node.data, "PG_VERSION")); errors.Is(err, fs.ErrNotExist) {
		r.Progress("the data is lost: what was not archived is, too")
		return nil
	}
	if _, err := os.Stat(filepath.Join(r.node.data, "standby.signal")); err == nil {
		r.Progress("only a standby is left: what its primary had not archived is lost")
		return nil
	}
	r.Progress("archiving what the server has not archived yet")
	server, err := r.start(ctx)
	if errors.Is(err, pgserver.ErrInUse) {
		return err
	}
	if err != nil {
		r.Progress(fmt.Sprintf("the data does not start, and what was not archived is lost: %v", err))
		return nil
	}
	conn, err := pgx.Connect(ctx, server.SuperuserDSN("postgres"))
	if err == nil {
		err = errors.Join(
			execute(ctx, conn, "SELECT pg_current_xact_id()"), conn.Close(ctx))
	}
	if err := errors.Join(err, server.Stop(ctx)); err != nil { // it ends when all is archived
		return err
	}
	waiting, err := filepath.Glob(filepath.Join(r.node.data, "pg_wal", "archive_status", "*.ready"))
	if err == nil && len(waiting) > 0 {
		err = fmt.Errorf("%d pieces of the log are not archived: see %s", len(waiting), filepath.Join(r.node.dir, "postgres.log"))
	}
	return err
}

// start starts the server alone, with settings that suit the log of any shop.
func (r *restoring) start(ctx context.Context) (*pgserver.Server, error) {
	all := maps.Clone(settings)
	maps.Copy(all, r.archive.Settings())
	// Patroni's configuration names the folder of the node that was backed up, and a standby that does not run.
	all["hba_file"], all["ident_file"] = filepath.Join(r.node.data, "pg_hba.conf"), filepath.Join(r.node.data, "pg_ident.conf")
	all["synchronous_standby_names"] = ""
	return pgserver.Start(ctx, pgserver.Options{Dir: r.node.dir, Settings: all, Standbys: true, Log: slog.New(slog.DiscardHandler)})
}

// renewCluster makes the folder of a cluster, with a node without data, from the one that was set aside.
func (r *restoring) renewCluster(suffix string) error {
	dir := r.folder.join(haName)
	renewed, err := patroni.Renew(dir+suffix, dir)
	if err != nil {
		return err
	}
	if r.node, err = locate(renewed); err != nil {
		return err
	}
	r.archive, err = r.node.archive(r.backups.Repository, "")
	return err
}

// findNode finds the server, or which of three has the newest data: the primary.
func (r *restoring) findNode(ctx context.Context) (err error) {
	dir := r.folder.join(haName)
	switch _, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		r.single = true
		r.node, err = locate(r.folder.join("postgres"))
		return err
	case err != nil:
		return err
	}
	primary, err := patroni.NewestData(ctx, dir)
	if err != nil {
		return err
	}
	if r.node, err = locate(filepath.Join(dir, primary)); err != nil {
		return err
	}
	return patroni.NotePassword(dir, r.node.dir)
}

// forgetTarget takes the moment out of the server's settings: a standby would stop at it.
func forgetTarget(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, name := range []string{"restore_command", "recovery_target_time", "recovery_target_action", "recovery_target_timeline"} {
		if err := execute(ctx, conn, "ALTER SYSTEM RESET "+name); err != nil {
			return fmt.Errorf("reset %s: %w", name, err)
		}
	}
	return nil
}

func execute(ctx context.Context, conn *pgx.Conn, sql string) error {
	_, err := conn.Exec(ctx, sql)
	return err
}

// restoreData restores the databases, and sets the relays of events back to the beginning.
func (r *restoring) restoreData(ctx context.Context, backup pgbackrest.Backup) error {
	if err := os.Mkdir(r.node.data, 0o700); err != nil {
		return err
	}
	if err := r.node.as.Own(r.node.data); err != nil {
		return err
	}
	r.Progress("restoring the backup " + backup.Label)
	if err := r.archive.Restore(ctx, backup.Label, r.To, r.timeline); err != nil {
		return err
	}
	r.Progress("replaying the log")
	began := time.Now()
	server, err := r.start(ctx)
	if err != nil {
		return err
	}
	err = r.promoted(ctx, server)
	r.done.Replayed = time.Since(began)
	if err == nil {
		r.restored, err = timelineOf(ctx, server.SuperuserDSN("postgres"))
	}
	if err == nil {
		r.Progress("setting the relays of events back")
		err = errors.Join(forgetTarget(ctx, server.SuperuserDSN("postgres")), rewindRelays(ctx, server.SuperuserDSN))
	}
	return errors.Join(err, server.Stop(ctx))
}

// promoted waits until a server has replayed the log and takes writes.
func (r *restoring) promoted(ctx context.Context, server *pgserver.Server) error {
	conn, err := pgx.Connect(ctx, server.SuperuserDSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for {
		var recovers bool
		var last *time.Time
		if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery(), pg_last_xact_replay_timestamp()").Scan(&recovers, &last); err != nil {
			return fmt.Errorf("the server ended while it replayed the log: %w\n%s", err, server.Said())
		}
		if !recovers {
			if last != nil {
				r.done.Last = *last
			}
			return nil
		}
		if err := retry.Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// rewindRelays sets the relay of each log of events back to its beginning.
func rewindRelays(ctx context.Context, dsn func(database string) string) error {
	for _, name := range topology.Databases() {
		if err := rewindRelay(ctx, dsn(name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func rewindRelay(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var relays bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('souk_events_relay') IS NOT NULL").Scan(&relays); err != nil || !relays {
		return err
	}
	return log.Rewind(ctx, conn)
}
