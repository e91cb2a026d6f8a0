// Package kafka is `souk kafka`: one broker of Apache Kafka for development.
package kafka

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events/kafkaserver"
	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/state"
)

const usage = `usage: souk kafka [flags]

Runs one broker of Apache Kafka ` + kafkaserver.Version + ` for development, in KRaft mode on this machine's Java
(17 or newer), from Maven Central's jars: 45 MB, which are downloaded once and checked by
their SHA-256. Its one user's password is made once and kept in the data folder.

Once clients can use it, it prints the line "ready URL", and the URL is in the file url of
the data folder, which only this user can read:

  souk up --events "$(cat .souk-kafka/url)"

The connection is not encrypted: listen on an address of this machine alone. Ctrl-C stops
the broker in good order.

`

const (
	user = "souk"
	// stopTimeout bounds the stop: the broker writes its logs' state.
	stopTimeout = 30 * time.Second
)

// Command is `souk kafka`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("kafka", usage, stderr)
	addr := flags.String("addr", "127.0.0.1:9092", "where it listens, `host:port`; port 0 takes any free one")
	data := flags.String("data", ".souk-kafka", "the data `folder`; it is kept")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 {
		flags.Usage()
		return errors.New("kafka takes no arguments")
	}
	address, err := free(ctx, *addr)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(*data)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	password, err := passwordIn(filepath.Join(dir, "password"))
	if err != nil {
		return err
	}
	server, err := kafkaserver.Start(ctx, kafkaserver.Config{
		Dir: filepath.Join(dir, "broker"), Address: address, User: user, Password: password,
		Output: stderr, Notice: func(text string) { fmt.Fprintln(stderr, text) },
	})
	if err != nil {
		return err
	}
	url := server.Client().URL.Reveal()
	file := filepath.Join(dir, "url")
	err = state.WriteFile(file, []byte(url+"\n"))
	if err == nil {
		_, err = fmt.Fprintf(stdout, "\n  broker  Apache Kafka %s, one node, data in %s\n  try     souk up --events \"$(cat %s)\"\n\nready %s\n", kafkaserver.Version, *data, filepath.Join(*data, "url"), url)
	}
	if err == nil {
		select {
		case <-ctx.Done():
			fmt.Fprintln(stderr, "stopping; Ctrl-C again kills")
		case <-server.Done():
			err = errors.New("the broker has ended by itself")
		}
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if stopErr := server.Stop(stopping); err == nil {
		err = stopErr
	}
	if removeErr := os.Remove(file); err == nil && !errors.Is(removeErr, fs.ErrNotExist) {
		err = removeErr
	}
	if err == nil {
		fmt.Fprintln(stderr, "stopped")
	}
	return err
}

// free returns an address that nothing listens on, with its port.
func free(ctx context.Context, addr string) (string, error) {
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("--addr: %w", err)
	}
	defer lis.Close()
	return lis.Addr().String(), nil
}

// passwordIn is that of a file, which is made where there is none.
func passwordIn(path string) (config.Secret, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b = []byte(rand.Text() + "\n")
		err = state.WriteFile(path, b)
	}
	if err != nil {
		return "", err
	}
	password := strings.TrimSpace(string(b))
	if password == "" {
		return "", fmt.Errorf("%s is empty: remove the data folder, whose broker has the password", path)
	}
	return config.Secret(password), nil
}
