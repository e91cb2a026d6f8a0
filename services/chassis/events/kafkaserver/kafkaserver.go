//go:build unix

// Package kafkaserver runs one broker of Apache Kafka on this machine's Java, for development
// (`souk kafka`) and in tests. No service imports it.
package kafkaserver

import (
	"cmp"
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/kafka"
	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// startTimeout is how long a broker may take until clients can use it.
	startTimeout = 2 * time.Minute
	// minJava is the oldest Java that brokers of this version run on.
	minJava = 17
	// iterations is how often SCRAM hashes a password.
	iterations = 8192
)

// Config is how a broker runs.
type Config struct {
	// Dir is where its data is.
	Dir string
	// Address is where it listens, "127.0.0.1:9092".
	Address string
	// User and Password are those of the one user, as they were when Dir was made.
	User     string
	Password config.Secret
	// CertFile and KeyFile (PKCS #8) turn TLS on, CAFile and ServerName are how a client
	// checks them.
	CertFile, KeyFile, CAFile, ServerName string
	// Output takes what the broker prints: errors.
	Output io.Writer
	// Notice is told what takes time. May be nil.
	Notice func(string)
}

// Server is a broker that runs.
type Server struct {
	cfg     Config
	process *process.Process
}

// Start starts a broker and waits until clients can use it. Kafka is downloaded once, to the
// user's cache.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	java, err := findJava(ctx)
	if err != nil {
		return nil, err
	}
	if cfg.Notice == nil {
		cfg.Notice = func(string) {}
	}
	jars, err := Fetch(ctx, cfg.Notice)
	if err != nil {
		return nil, fmt.Errorf("kafka %s (a proxy is taken from HTTPS_PROXY): %w", Version, err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	properties, err := cfg.write()
	if err != nil {
		return nil, err
	}
	if err := cfg.format(ctx, java, jars, properties); err != nil {
		return nil, err
	}
	cmd := exec.Command(java, "-Xmx512m", "-XX:+UseSerialGC", "-Dlog4j2.level=ERROR", "-cp", strings.Join(jars, string(os.PathListSeparator)), "kafka.Kafka", properties)
	cmd.Stdout, cmd.Stderr = cfg.Output, cfg.Output
	s := &Server{cfg: cfg}
	if s.process, err = process.Start(cmd, syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	if err := s.ready(ctx); err != nil {
		s.process.Kill()
		return nil, err
	}
	return s, nil
}

// write writes what the broker reads. Only this user may read it, since the password is in it.
func (c Config) write() (string, error) {
	port, err := process.FreePort()
	if err != nil {
		return "", err
	}
	controller := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	protocol := "SASL_PLAINTEXT"
	if c.CertFile != "" {
		protocol = "SASL_SSL"
	}
	jaas := fmt.Sprintf("org.apache.kafka.common.security.scram.ScramLoginModule required username=%q password=%q;", c.User, c.Password.Reveal())
	lines := []string{
		"process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@" + controller,
		"listeners=CLIENT://" + c.Address + ",CONTROLLER://" + controller, "advertised.listeners=CLIENT://" + c.Address,
		"listener.security.protocol.map=CLIENT:" + protocol + ",CONTROLLER:PLAINTEXT",
		"inter.broker.listener.name=CLIENT", "controller.listener.names=CONTROLLER",
		"sasl.enabled.mechanisms=SCRAM-SHA-512", "sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512",
		"listener.name.client.scram-sha-512.sasl.jaas.config=" + strings.ReplaceAll(jaas, `\`, `\\`),
		"log.dirs=" + filepath.Join(c.Dir, "data"), "auto.create.topics.enable=false", "controlled.shutdown.enable=false",
		// What the broker keeps of groups is on the disk before it is acknowledged, like events.
		"offsets.topic.replication.factor=1", "offsets.topic.num.partitions=4", "group.initial.rebalance.delay.ms=0",
		"transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1", "transaction.state.log.num.partitions=1",
		"share.coordinator.state.topic.replication.factor=1", "share.coordinator.state.topic.min.isr=1",
		"num.network.threads=2", "num.io.threads=4", "background.threads=2", "log.cleaner.dedupe.buffer.size=16777216",
	}
	if c.CertFile != "" {
		pem := filepath.Join(c.Dir, "server.pem")
		if err := join(pem, slices.Compact([]string{c.KeyFile, c.CertFile})...); err != nil {
			return "", err
		}
		lines = append(lines, "ssl.keystore.type=PEM", "ssl.keystore.location="+pem, "ssl.truststore.type=PEM", "ssl.truststore.location="+c.CAFile)
	}
	file := filepath.Join(c.Dir, "server.properties")
	return file, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// join writes files one after the other into one. Key and certificate may be one file already.
func join(to string, from ...string) error {
	var all []byte
	for _, name := range from {
		text, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("kafka: %w", err)
		}
		all = append(append(all, text...), '\n')
	}
	return os.WriteFile(to, all, 0o600)
}

// format makes the data folder, once, with its user.
func (c Config) format(ctx context.Context, java string, jars []string, properties string) error {
	if _, err := os.Stat(filepath.Join(c.Dir, "data", "meta.properties")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	salt := make([]byte, 24)
	_, _ = rand.Read(salt)
	salted, err := pbkdf2.Key(sha512.New, c.Password.Reveal(), salt, iterations, sha512.Size)
	if err != nil {
		return err
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	id[0] &^= 0x80 // an id that begins with a dash would be a flag
	scram := fmt.Sprintf(`SCRAM-SHA-512=[name=%s,iterations=%d,salt=%q,saltedpassword=%q]`, c.User, iterations,
		base64.StdEncoding.EncodeToString(salt), base64.StdEncoding.EncodeToString(salted))
	// Arguments in a file: those of a command line can be read by every user.
	file := filepath.Join(c.Dir, "format.args")
	arguments := []string{"-Xmx256m", "-cp", strings.Join(jars, string(os.PathListSeparator)), "kafka.tools.StorageTool", "format",
		"-t", base64.RawURLEncoding.EncodeToString(id), "-c", properties, "--add-scram", scram}
	for i, a := range arguments {
		arguments[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a) + `"`
	}
	if err := os.WriteFile(file, []byte(strings.Join(arguments, "\n")), 0o600); err != nil {
		return err
	}
	defer os.Remove(file) //nolint:errcheck // it is of no use to others: only this user can read it
	if out, err := exec.CommandContext(ctx, java, "@"+file).CombinedOutput(); err != nil {
		return fmt.Errorf("kafka: make %s: %w: %s", c.Dir, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// ready waits until the broker answers.
func (s *Server) ready(ctx context.Context) error {
	client, err := kafka.Open(s.Client(), telemetry.Discard())
	if err != nil {
		return err
	}
	defer client.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was published
	waiting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err = retry.Do(waiting, retry.Policy{Backoff: retry.Backoff{Initial: 100 * time.Millisecond, Max: 500 * time.Millisecond}, If: func(error) bool {
		select {
		case <-s.process.Done():
			return false
		default:
			return true
		}
	}}, func(ctx context.Context) error {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return client.Check(attempt)
	})
	if err != nil {
		return fmt.Errorf("kafka on %s does not start: %w", s.cfg.Address, err)
	}
	return nil
}

// Client is how to connect to the broker.
func (s *Server) Client() events.Config {
	u := url.URL{Scheme: "kafka", Host: s.cfg.Address, User: url.UserPassword(s.cfg.User, s.cfg.Password.Reveal())}
	if s.cfg.CertFile != "" {
		u.Scheme = "kafka+tls"
	}
	return events.Config{URL: config.Secret(u.String()), CAFile: s.cfg.CAFile, ServerName: s.cfg.ServerName}
}

// Kill ends it by SIGKILL.
func (s *Server) Kill() { s.process.Kill() }

// Signal sends it a signal.
func (s *Server) Signal(sig syscall.Signal) { s.process.Signal(sig) }

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// findJava returns the java of JAVA_HOME or of PATH when it is new enough.
func findJava(ctx context.Context) (string, error) {
	java := "java"
	for _, brew := range []string{"/opt/homebrew/opt/openjdk/bin/java", "/usr/local/opt/openjdk/bin/java"} { // not in PATH
		if _, err := exec.LookPath(java); err != nil {
			if _, err := os.Stat(brew); err == nil {
				java = brew
			}
		}
	}
	if home := os.Getenv("JAVA_HOME"); home != "" { //nolint:forbidigo // Java's own variable; no service starts a broker
		java = filepath.Join(home, "bin", "java")
	}
	out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kafka needs Java %d or newer, in JAVA_HOME or PATH (apt install default-jre-headless): %w", minJava, err)
	}
	found := javaVersion.FindSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("kafka needs Java %d or newer: %s says %q", minJava, java, out)
	}
	if n, _ := strconv.Atoi(string(found[1])); n < minJava {
		return "", fmt.Errorf("kafka needs Java %d or newer: %s is of version %s", minJava, java, cmp.Or(string(found[1]), "?"))
	}
	return java, nil
}

// Done is closed when the broker has ended.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// stopped is Java's exit status after a SIGTERM that it obeyed.
const stopped = 128 + int(syscall.SIGTERM)

// Stop ends it in good order, or by SIGKILL with an error when ctx ends first.
func (s *Server) Stop(ctx context.Context) error {
	err := s.process.Stop(ctx, syscall.SIGTERM)
	if errors.Is(err, process.ErrNotEnding) {
		s.process.Kill()
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == stopped {
		return nil
	}
	return err
}
