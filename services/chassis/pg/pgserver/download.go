//go:build unix

package pgserver

import (
	"archive/tar"
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/xi2/xz"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// mavenCentral is where artifacts come from. What it sends is believed for its
// checksum alone.
const mavenCentral = "https://repo1.maven.org/maven2"

// download fetches PostgreSQL's programs into the user's cache, once.
func download(ctx context.Context, cluster string, notice func(string)) (binaries, error) {
	platform := platform()
	version, sum, err := choose(platform, cluster)
	if err != nil {
		return binaries{}, err
	}
	cache, err := cacheDir()
	if err != nil {
		return binaries{}, err
	}
	// With the checksum: another platform's programs may be in a shared home, and
	// what an earlier version of this table named is not taken for this one's.
	dir := filepath.Join(cache, fmt.Sprintf("postgres-%s-%s-%s", version, platform, sum[:8]))
	f := fetcher{
		url: mavenCentral + "/" + artifact(version, platform), sum: sum, cache: cache, name: "PostgreSQL " + version, notice: notice,
		stall: 30 * time.Second, every: 5 * time.Second,
		policy: retry.Policy{Backoff: retry.Backoff{Initial: time.Second, Max: 8 * time.Second}, Attempts: 5},
	}
	if err := f.fetch(ctx, dir); err != nil {
		return binaries{}, fmt.Errorf("download PostgreSQL %s for %s (a proxy is taken from HTTPS_PROXY): %w", version, platform, err)
	}
	return inspect(ctx, filepath.Join(dir, "bin"))
}

// fetcher fetches an archive of programs and unpacks it.
type fetcher struct {
	url    string // of a zip with one .txz in it
	sum    string // SHA-256 of the .txz
	cache  string
	name   string // for notices
	notice func(string)
	stall  time.Duration // that long without a byte ends an attempt
	every  time.Duration // between notices of how far it is
	policy retry.Policy
}

// fetch leaves the programs in dir, whole or not at all. Of several processes one
// downloads and the others wait for it. Nothing of an archive is unpacked before
// its checksum is seen to be right.
func (f *fetcher) fetch(ctx context.Context, dir string) (err error) {
	if complete(dir) {
		return nil
	}
	lock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer UnlockFolder(lock)
	if complete(dir) {
		return nil // another process has done it
	}
	// What an earlier process left when it was killed.
	leftovers, err := filepath.Glob(filepath.Join(f.cache, "fetch-*"))
	if err != nil {
		return err
	}
	for _, name := range leftovers {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	scratch, err := os.MkdirTemp(f.cache, "fetch-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	f.notice(fmt.Sprintf("none on this machine: downloading %s (15 to 60 MB, once) to %s", f.name, dir))
	jar, err := os.Create(filepath.Join(scratch, "jar"))
	if err != nil {
		return err
	}
	defer jar.Close()
	if err := f.get(ctx, jar); err != nil {
		return err
	}
	programs := filepath.Join(scratch, "programs")
	if err := f.unpack(ctx, jar, programs); err != nil {
		return err
	}
	return os.Rename(programs, dir)
}

// complete reports whether dir has the programs: it appears with them.
func complete(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "bin", "postgres"))
	return err == nil
}

// lock waits until this process is the only one that downloads into the cache.
func (f *fetcher) lock(ctx context.Context) (*os.File, error) {
	for said := false; ; said = true {
		lock, err := LockFolder(f.cache)
		if !errors.Is(err, ErrInUse) {
			return lock, err
		}
		if !said {
			f.notice("another process is downloading PostgreSQL: waiting for it")
		}
		if err := retry.Sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, fmt.Errorf("wait for the download of another process: %w", err)
		}
	}
}

// refusal is an answer that is the same at the next attempt.
type refusal struct{ error }

// get fills the file from f.url. An attempt that broke off is continued by the
// next.
func (f *fetcher) get(ctx context.Context, file *os.File) error {
	transport := http.DefaultTransport.(*http.Transport).Clone() // with the proxy of the environment
	defer transport.CloseIdleConnections()
	transport.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	client := &http.Client{Transport: transport}
	policy := f.policy
	policy.If = func(err error) bool {
		if _, final := errors.AsType[refusal](err); final || ctx.Err() != nil {
			return false
		}
		if in, ok := errors.AsType[*url.Error](err); ok {
			err = in.Err // without the address, which is long
		}
		f.notice(fmt.Sprintf("%v: trying again", err))
		return true
	}
	etag := ""
	return retry.Do(ctx, policy, func(ctx context.Context) error { return f.attempt(ctx, client, file, &etag) })
}

// attempt gets what is missing of the file. A file of which the server has
// another version by now is begun anew.
func (f *fetcher) attempt(ctx context.Context, client *http.Client, file *os.File, etag *string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(f.stall, func() { cancel(fmt.Errorf("nothing comes for %s", f.stall)) })
	defer stalled.Stop()
	have, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return err
	}
	if have > 0 && *etag != "" {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		req.Header.Set("If-Range", *etag)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	begins := fmt.Sprintf("bytes %d-", have)
	switch {
	case resp.StatusCode == http.StatusPartialContent && strings.HasPrefix(resp.Header.Get("Content-Range"), begins):
	case resp.StatusCode == http.StatusOK:
		have = 0
		if err := errors.Join(file.Truncate(0), rewind(file)); err != nil {
			return err
		}
	default:
		err := fmt.Errorf("%s answers %s", f.url, resp.Status)
		if again := resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout; !again {
			return refusal{err}
		}
		return err
	}
	if *etag = resp.Header.Get("ETag"); strings.HasPrefix(*etag, "W/") {
		*etag = "" // it does not name bytes
	}
	body := &progress{Reader: resp.Body, done: have, total: have + resp.ContentLength, last: time.Now(), fetcher: f, alive: func() { stalled.Reset(f.stall) }}
	if _, err := io.Copy(file, body); err != nil {
		return fmt.Errorf("%s breaks off after %d bytes: %w", f.url, body.done, err)
	}
	return nil
}

func rewind(file *os.File) error {
	_, err := file.Seek(0, io.SeekStart)
	return err
}

// progress reports how much of a body has come.
type progress struct {
	io.Reader
	done, total int64
	last        time.Time
	fetcher     *fetcher
	alive       func()
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.alive()
	p.done += int64(n)
	if now := time.Now(); now.Sub(p.last) >= p.fetcher.every && p.total > 0 {
		p.last = now
		p.fetcher.notice(fmt.Sprintf("%.1f of %.1f MB", float64(p.done)/1e6, float64(p.total)/1e6))
	}
	return n, err
}

// unpack checks the one .txz in a zip and unpacks it into dir.
func (f *fetcher) unpack(ctx context.Context, jar *os.File, dir string) error {
	info, err := jar.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(jar, info.Size())
	if err != nil {
		return fmt.Errorf("%s is no archive (a page of a proxy?): %w", f.url, err)
	}
	var txz *zip.File
	for _, file := range z.File {
		if path.Ext(file.Name) != ".txz" {
			continue
		}
		if txz != nil {
			return fmt.Errorf("%s has more than one .txz", f.url)
		}
		txz = file
	}
	if txz == nil {
		return fmt.Errorf("%s has no .txz", f.url)
	}
	hash := sha256.New()
	err = read(txz, func(r io.Reader) error {
		_, err := io.Copy(hash, r)
		return err
	})
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != f.sum {
		return fmt.Errorf("the SHA-256 of %s in %s is %s, want %s: it is damaged or was tampered with, and is not used", txz.Name, f.url, got, f.sum)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing is written through it
	return read(txz, func(r io.Reader) error {
		decompressed, err := xz.NewReader(r, 0)
		if err != nil {
			return err
		}
		return untar(ctx, tar.NewReader(decompressed), root)
	})
}

// read passes the content of a file in a zip to fn.
func read(file *zip.File, fn func(io.Reader) error) error {
	r, err := file.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := fn(r); err != nil {
		return fmt.Errorf("%s: %w", file.Name, err)
	}
	return nil
}

// untar writes an archive below root, readable by every user whatever this
// process's umask: the server may run as another.
func untar(ctx context.Context, archive *tar.Reader, root *os.Root) error {
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return root.Chmod(".", 0o755)
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		name := path.Clean(header.Name)
		if header.Typeflag == tar.TypeDir {
			if err := mkdir(root, name); err != nil {
				return err
			}
			continue
		}
		if err := mkdir(root, path.Dir(name)); err != nil {
			return err
		}
		switch header.Typeflag {
		case tar.TypeReg:
			err = write(root, name, archive, 0o644|header.FileInfo().Mode()&0o111)
		case tar.TypeSymlink:
			err = root.Symlink(header.Linkname, name)
		default:
			err = fmt.Errorf("%s is of type %q, which is not known", header.Name, header.Typeflag)
		}
		if err != nil {
			return err
		}
	}
}

// mkdir makes a folder and those above it.
func mkdir(root *os.Root, name string) error {
	if err := root.MkdirAll(name, 0o755); err != nil {
		return err
	}
	for ; name != "."; name = path.Dir(name) {
		if err := root.Chmod(name, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func write(root *os.Root, name string, content io.Reader, mode fs.FileMode) error {
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Chmod(mode), file.Close())
}

// cacheDir is where downloads are kept. Root's is one that the unprivileged
// user can read.
func cacheDir() (string, error) {
	if os.Geteuid() != 0 {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache := filepath.Join(user, "souk")
		return cache, os.MkdirAll(cache, 0o755)
	}
	const cache = "/var/cache/souk"
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	return cache, os.Chmod(cache, 0o755) // whatever the umask
}
