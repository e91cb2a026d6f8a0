//go:build unix

package kafkaserver

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// Version is Kafka's.
const Version = "4.4.0"

// mavenCentral is where the jars come from. What it sends is believed for its checksum alone.
const mavenCentral = "https://repo1.maven.org/maven2"

// jarsText has the SHA-256 and the path of each jar, kafka_2.13 and what it needs at run
// time, with log4j-slf4j-impl, which prints. The list of another version:
//
//	mvn dependency:copy-dependencies -DincludeScope=runtime -Dmdep.useRepositoryLayout=true -DoutputDirectory=jars
//	cd jars && find . -name '*.jar' -printf '%P\n' | sort | xargs sha256sum
//
//go:embed jars.sha256
var jarsText string

// fetchTimeout bounds one attempt to get one jar.
const fetchTimeout = 2 * time.Minute

// Fetch returns the files of Kafka's jars, in the user's cache. Those that are missing there
// are downloaded, and used once their checksums are seen to be right.
func Fetch(ctx context.Context, notice func(string)) ([]string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	return fetch(ctx, mavenCentral, jarsText, filepath.Join(cache, "souk", "kafka-"+Version), notice)
}

func fetch(ctx context.Context, repository, list, dir string, notice func(string)) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var files []string
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	said := false
	for line := range strings.Lines(list) {
		sum, path, _ := strings.Cut(strings.TrimSpace(line), "  ")
		// With the checksum: what an earlier list named is not taken for this one's.
		file := filepath.Join(dir, sum[:8]+"-"+filepath.Base(path))
		files = append(files, file)
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if !said {
			notice(fmt.Sprintf("downloading Kafka %s (45 MB, once) to %s", Version, dir))
			said = true
		}
		g.Go(func() error {
			policy := retry.Policy{Backoff: retry.Backoff{Initial: time.Second, Max: 8 * time.Second}, Attempts: 5, If: func(err error) bool { return !errors.Is(err, errDamaged) }}
			return retry.Do(ctx, policy, func(ctx context.Context) error { return get(ctx, repository+"/"+path, sum, file) })
		})
	}
	return files, g.Wait()
}

// errDamaged is a file with another checksum.
var errDamaged = errors.New("is damaged or was tampered with, and is not used")

// get leaves a file whole or not at all. Several processes may do it at once.
func get(ctx context.Context, url, sum, file string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	scratch, err := os.CreateTemp(filepath.Dir(file), "fetch-")
	if err != nil {
		return err
	}
	defer os.Remove(scratch.Name()) //nolint:errcheck // it was renamed, or is of no use
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(scratch, hash), resp.Body)
	if err = errors.Join(err, scratch.Close()); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != sum {
		return fmt.Errorf("the SHA-256 of %s is %s, want %s: it %w", url, got, sum, errDamaged)
	}
	return os.Rename(scratch.Name(), file)
}
