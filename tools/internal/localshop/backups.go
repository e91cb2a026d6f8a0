package localshop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/tools/internal/pgbackrest"
	"github.com/souk-shop/souk/tools/internal/state"
)

// NoBackups as Options.Backups ends the archiving of the log.
const NoBackups = "none"

// keepFull is how many full backups a repository keeps.
const keepFull = 2

// backupsName is the file that says where the backups are, so that no start leaves a hole in the
// log because it was not told.
const backupsName = "backups.json"

// ErrNoBackups means that a shop archives nothing.
var ErrNoBackups = errors.New("the shop keeps no backups: start it with `souk up --backups FOLDER`")

// backups is where the backups of a data folder are.
type backups struct {
	// Repository is the folder of backups and log.
	Repository string `json:"repository"`
	// Since is when the log began that was archived without a hole.
	Since time.Time `json:"since"`
	// Restores are those of the databases, oldest first.
	Restores []restore `json:"restores,omitempty"`
	// UnderWay is the restore that has begun and not ended; nil for none.
	UnderWay *underWay `json:"under_way,omitempty"`
}

// restore is one restore. What was committed from To to At is no longer: neither backups from
// then nor moments in it are part of what the databases have.
type restore struct {
	To time.Time `json:"to"`
	At time.Time `json:"at"`
	// Timeline is that of the databases since.
	Timeline int `json:"timeline"`
}

// readBackups returns where the backups are; nil where none are kept.
func (f *folder) readBackups() (*backups, error) {
	path := f.join(backupsName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // none are kept
	}
	if err != nil {
		return nil, err
	}
	b := &backups{}
	if err := json.Unmarshal(raw, b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

func (f *folder) writeBackups(b *backups) error {
	raw, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	if err := state.WriteFile(f.join(backupsName), append(raw, '\n')); err != nil {
		return err
	}
	return syncPath(f.path)
}

// keepBackups notes where the backups are to be from now on: at repository, nowhere for NoBackups,
// or where they were when it is empty.
// since is when its log begins that is without a hole.
func (f *folder) keepBackups(repository string, since time.Time) (*backups, error) {
	b, err := f.readBackups()
	switch {
	case err != nil || repository == "":
		return b, err
	case repository == NoBackups:
		if err := os.Remove(f.join(backupsName)); !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, nil //nolint:nilnil // none are kept
	}
	if repository, err = f.outside(repository); err != nil {
		return nil, err
	}
	if b != nil && b.Repository == repository {
		return b, nil
	}
	b = &backups{Repository: repository, Since: since.UTC()}
	return b, f.writeBackups(b)
}

// restoreFrom returns where the backups are that a restore begins with: at repository, or where they are
// kept when it is empty. Nothing is noted before the databases are restored.
func (f *folder) restoreFrom(repository string) (*backups, error) {
	b, err := f.readBackups()
	if err != nil {
		return nil, err
	}
	if repository == NoBackups || b == nil && repository == "" {
		return nil, ErrNoBackups
	}
	if repository == "" {
		return b, nil
	}
	if repository, err = f.outside(repository); err != nil {
		return nil, err
	}
	if b != nil && b.Repository == repository {
		return b, nil
	}
	other := &backups{Repository: repository}
	if b != nil {
		other.Restores = b.Restores // of the databases, wherever their log is
	}
	return other, nil
}

// outside returns the absolute path of a repository, which a data folder that is emptied or lost
// may not take with it.
func (f *folder) outside(repository string) (string, error) {
	repository, err := filepath.Abs(repository)
	if err != nil {
		return "", err
	}
	if within, err := filepath.Rel(f.path, repository); err == nil && within != ".." && !strings.HasPrefix(within, "../") {
		return "", fmt.Errorf("backups %s: is in the data folder %s, with which it would be lost: name another folder", repository, f.path)
	}
	return repository, nil
}

// node is a PostgreSQL server by the folder that has its data, which is made if need be.
type node struct {
	// dir is the server's folder and data, in it, the databases. as owns them.
	dir, data string
	as        *pgserver.Account
}

func locate(dir string) (n node, err error) {
	n.data, n.as, err = pgserver.Locate(dir)
	n.dir = filepath.Dir(n.data)
	return n, err
}

// archive is a repository as a node uses it. dsn, which is empty for a node that does not run, is
// by what its superuser reaches it.
func (n node) archive(repository, dsn string) (*pgbackrest.Server, error) {
	cfg := pgbackrest.Config{Dir: filepath.Join(n.dir, "pgbackrest"), Repository: repository, Data: n.data, As: n.as, KeepFull: keepFull}
	if dsn != "" {
		c, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, err
		}
		cfg.Port, cfg.Password = int(c.Port), c.Password
	}
	return pgbackrest.New(cfg)
}

// settings are those of a server that archives to the repository; none without one. A server that
// is started without them once leaves a hole in the log, and what comes after it cannot be restored.
func (b *backups) settings(dir string) (map[string]string, error) {
	if b == nil {
		return nil, nil
	}
	n, err := locate(dir)
	if err != nil {
		return nil, err
	}
	archive, err := n.archive(b.Repository, "")
	if err != nil {
		return nil, err
	}
	return archive.Settings(), nil
}

// startArchive makes the repository ready for the server that a DSN of its superuser leads to.
func (s *Shop) startArchive(ctx context.Context, superuser string) error {
	if s.backups == nil {
		return nil
	}
	n, dsn, err := running(ctx, superuser)
	if err != nil {
		return err
	}
	if s.archive, err = n.archive(s.backups.Repository, dsn); err != nil {
		return err
	}
	return s.archive.Prepare(ctx)
}

// superuser is the connection string of the server's superuser.
func (s *Shop) superuser() string {
	if s.cluster != nil {
		return s.cluster.SuperuserDSN("postgres")
	}
	s.postgres.mu.Lock()
	defer s.postgres.mu.Unlock()
	return s.postgres.server.SuperuserDSN("postgres")
}

// firstBackup makes a backup where there is none: the log alone restores nothing.
func (s *Shop) firstBackup(ctx context.Context) (err error) {
	if s.archive == nil {
		return nil
	}
	have, err := s.backups.report(ctx, s.archive)
	if err != nil || len(have.Backups) > 0 {
		return err
	}
	defer s.step("first backup", &err)()
	return s.archive.Backup(ctx, true)
}

// BackupReport is what a repository holds.
type BackupReport struct {
	Repository string
	Backups    []pgbackrest.Backup
	// From is the earliest time that the databases can be restored to.
	From time.Time
	// Archiving is why the log since is not archived; nil if it is.
	Archiving *ArchivingError
}

// report reads what the repository holds that is part of what the databases have.
func (b *backups) report(ctx context.Context, archive *pgbackrest.Server) (*BackupReport, error) {
	all, err := archive.Backups(ctx)
	if err != nil {
		return nil, err
	}
	r := &BackupReport{Repository: b.Repository}
	for _, backup := range all {
		if backup.Start.Before(b.Since.Truncate(time.Second)) || b.undid(backup) {
			continue
		}
		r.Backups = append(r.Backups, backup)
	}
	if len(r.Backups) > 0 {
		r.From = restorable(r.Backups[0])
	}
	return r, nil
}

// restorable is the first moment that a backup can be restored to: its end is known to the second.
func restorable(b pgbackrest.Backup) time.Time { return b.Stop.Add(time.Second) }

// forget leaves out the restores that databases on a timeline have not seen: what had been set aside
// was put back.
func (b *backups) forget(timeline int) {
	b.Restores = slices.DeleteFunc(b.Restores, func(r restore) bool { return r.Timeline > timeline })
}

// undone returns the first restore that undid what was at a moment; nil if none did.
func (b *backups) undone(at time.Time) *restore {
	for i, r := range b.Restores {
		if at.After(r.To) && at.Before(r.At) {
			return &b.Restores[i]
		}
	}
	return nil
}

// undid reports whether what a backup has was undone by a restore. One that may have ended after the
// restore's moment counts: its end is known to the second, and its timeline was left before.
func (b *backups) undid(backup pgbackrest.Backup) bool {
	for _, r := range b.Restores {
		if restorable(backup).After(r.To) && backup.Stop.Before(r.At) {
			return true
		}
	}
	return false
}

// Backup makes a backup of the shop that runs on a data folder, of all or of what changed since the
// last one, and returns what there is.
func Backup(ctx context.Context, dir string, full bool) (*BackupReport, error) {
	shop, err := state.Read(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	f := &folder{path: dir} // the shop has its lock
	b, err := f.readBackups()
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, ErrNoBackups
	}
	if shop.Superuser == "" {
		return nil, errors.New("the shop that runs does not say how to reach its database: start it again")
	}
	n, dsn, err := running(ctx, shop.Superuser)
	if err != nil {
		return nil, err
	}
	timeline, err := timelineOf(ctx, dsn)
	if err != nil {
		return nil, err
	}
	b.forget(timeline)
	archive, err := n.archive(b.Repository, dsn)
	if err != nil {
		return nil, err
	}
	if err := archive.Backup(ctx, full); err != nil {
		// A backup waits for the log of its time, and does not say why that does not come.
		return nil, errors.Join(err, checkArchiving(ctx, dsn, b.Repository, archivingPatience))
	}
	report, err := b.report(ctx, archive)
	if err != nil {
		return nil, err
	}
	err = checkArchiving(ctx, dsn, b.Repository, archivingPatience)
	if failure, failed := errors.AsType[*ArchivingError](err); failed {
		report.Archiving, err = failure, nil
	}
	return report, err
}

// timelineOf is the timeline of the last checkpoint of a server.
func timelineOf(ctx context.Context, dsn string) (timeline int, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	return timeline, conn.QueryRow(ctx, "SELECT timeline_id FROM pg_control_checkpoint()").Scan(&timeline)
}

// running is the server that a DSN of its superuser leads to, which may name several, and the DSN of
// that one.
func running(ctx context.Context, superuser string) (n node, dsn string, err error) {
	conn, err := pgx.Connect(ctx, superuser)
	if err != nil {
		return n, "", err
	}
	defer conn.Close(ctx)
	var data string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&data); err != nil {
		return n, "", err
	}
	c := conn.Config()
	dsn = (&url.URL{
		Scheme: "postgres", User: url.UserPassword(c.User, c.Password), Host: conn.PgConn().Conn().RemoteAddr().String(),
		Path: "/postgres", RawQuery: "sslmode=disable",
	}).String()
	n, err = locate(filepath.Dir(data))
	return n, dsn, err
}
