package smoke

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/souk-shop/souk/services/chassis/identity/authority"
)

// Outcome is what an attempt of a stranger came to.
type Outcome string

// The outcomes of attempts.
const (
	// Refused: the server was there and let nothing out.
	Refused Outcome = "refused"
	// Answered: the server took the stranger for a client.
	Answered Outcome = "answered"
	// Unreachable: there was no connection, so nothing is known of the server.
	Unreachable Outcome = "unreachable"
)

// Attempt is a line that Stranger writes.
type Attempt struct {
	Target  string  `json:"target"`
	Attempt string  `json:"attempt"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail"`
}

// strangerTimeout bounds one attempt. A network policy drops packets without a word.
const strangerTimeout = 5 * time.Second

// Stranger tries the parts and stores that cfg.Targets names as a process that has neither
// a certificate of theirs nor a password, and writes what came of it. It judges nothing:
// what is right depends on the network between.
func Stranger(ctx context.Context, cfg Config, w io.Writer) error {
	if len(cfg.Targets) == 0 {
		return errors.New("SOUK_SMOKE_TARGETS: name parts and stores, as grpc=host:port, postgres=host:port/database, redis=host:port, nats=host:port")
	}
	type try struct {
		target, attempt string
		do              func(context.Context) (Outcome, string)
	}
	var tries []try
	forged, err := forgedCertificate()
	if err != nil {
		return err
	}
	for _, target := range cfg.Targets {
		kind, addr, _ := strings.Cut(target, "=")
		add := func(attempt string, do func(context.Context) (Outcome, string)) {
			tries = append(tries, try{target, attempt, func(ctx context.Context) (Outcome, string) {
				if err := reached(ctx, strings.Split(addr, "/")[0]); err != nil {
					return Unreachable, err.Error()
				}
				return do(ctx)
			}})
		}
		switch kind {
		case "grpc":
			call := func(c credentials.TransportCredentials) func(context.Context) (Outcome, string) {
				return func(ctx context.Context) (Outcome, string) { return callGRPC(ctx, addr, c) }
			}
			add("plain text", call(insecure.NewCredentials()))
			add("no certificate", call(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}))) //nolint:gosec // a stranger trusts anybody
			add("a certificate of another authority", call(credentials.NewTLS(&tls.Config{
				InsecureSkipVerify: true, Certificates: []tls.Certificate{forged}, //nolint:gosec // the same
			})))
		case "postgres":
			host, database, ok := strings.Cut(addr, "/")
			if !ok {
				return fmt.Errorf("SOUK_SMOKE_TARGETS: %s names no database", target)
			}
			connect := func(user, mode string) func(context.Context) (Outcome, string) {
				return func(ctx context.Context) (Outcome, string) { return connectPostgres(ctx, host, database, user, mode) }
			}
			add("plain text", connect(database+"_runtime", "disable"))
			add("plain text, the owner", connect(database, "disable"))
			add("a wrong password", connect(database+"_runtime", "require"))
			add("the superuser", connect("postgres", "require"))
		case "redis":
			add("plain text", func(ctx context.Context) (Outcome, string) { return askRedis(ctx, addr, nil) })
			add("no password", func(ctx context.Context) (Outcome, string) {
				return askRedis(ctx, addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a stranger trusts anybody
			})
		case "nats":
			add("plain text", func(ctx context.Context) (Outcome, string) { return askNATS(ctx, addr, nil) })
			add("no password", func(ctx context.Context) (Outcome, string) {
				return askNATS(ctx, addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a stranger trusts anybody
			})
		default:
			return fmt.Errorf("SOUK_SMOKE_TARGETS: %s is no grpc=, postgres=, redis= or nats=", target)
		}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	var failed error
	for _, t := range tries {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, strangerTimeout)
			defer cancel()
			outcome, detail := t.do(ctx)
			line, err := json.Marshal(Attempt{Target: t.target, Attempt: t.attempt, Outcome: outcome, Detail: detail})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				_, err = w.Write(append(line, '\n'))
			}
			failed = errors.Join(failed, err)
		})
	}
	all.Wait()
	return failed
}

// forgedCertificate is the gateway's by its name, of an authority that is made here.
func forgedCertificate() (tls.Certificate, error) {
	now := time.Now()
	ours, err := authority.New(now.Add(time.Hour))
	if err != nil {
		return tls.Certificate{}, err
	}
	text, err := ours.Issue("gateway", now, now.Add(time.Hour))
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(text, text)
}

func reached(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// callGRPC calls the method that every server has. Any answer of the server's is one too
// many, a refusal as well: who has no certificate is not told what there is.
func callGRPC(ctx context.Context, addr string, c credentials.TransportCredentials) (Outcome, string) {
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(c))
	if err != nil {
		return Unreachable, err.Error()
	}
	defer conn.Close()
	_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	switch status.Code(err) {
	case codes.Unavailable:
		return Refused, err.Error()
	case codes.DeadlineExceeded, codes.Canceled:
		return Unreachable, err.Error()
	default:
		return Answered, fmt.Sprint("answered: ", err)
	}
}

// connectPostgres logs in with a password that is none. A server that asks for it in plain
// text would have taken the right one.
func connectPostgres(ctx context.Context, host, database, user, mode string) (Outcome, string) {
	cfg, err := pgx.ParseConfig(fmt.Sprintf("postgres://%s:stranger@%s/%s?sslmode=%s", user, host, database, mode))
	if err != nil {
		return Unreachable, err.Error()
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		_ = conn.Close(ctx)
		return Answered, "logged in"
	}
	const noEntry, wrongPassword = "28000", "28P01"
	var refusal *pgconn.PgError
	switch {
	case !errors.As(err, &refusal):
		return Unreachable, err.Error()
	case refusal.Code == noEntry, refusal.Code == wrongPassword && mode != "disable" && user != "postgres":
		return Refused, refusal.Message
	default:
		return Answered, refusal.Message
	}
}

// askRedis asks for a sign of life. By TLS the answer may be that there is no password.
func askRedis(ctx context.Context, addr string, secured *tls.Config) (Outcome, string) {
	var conn net.Conn
	var err error
	if secured == nil {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
	} else {
		conn, err = (&tls.Dialer{Config: secured}).DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		return Unreachable, err.Error()
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return Unreachable, err.Error()
		}
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return Refused, err.Error()
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	switch {
	case secured != nil && strings.HasPrefix(line, "-NOAUTH"):
		return Refused, strings.TrimSpace(line)
	case strings.HasPrefix(line, "+"), strings.HasPrefix(line, "-"):
		return Answered, strings.TrimSpace(line)
	case isTimeout(err):
		return Unreachable, err.Error()
	default: // it hung up, or said something that is not Redis
		return Refused, fmt.Sprintf("%q, %v", line, err)
	}
}

// askNATS connects without credentials and asks for a sign of life. The server speaks first, in
// plain text: its INFO is no answer.
func askNATS(ctx context.Context, addr string, secured *tls.Config) (Outcome, string) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return Unreachable, err.Error()
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return Unreachable, err.Error()
		}
	}
	lines := bufio.NewReader(conn)
	if info, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(info, "INFO ") {
		return Unreachable, fmt.Sprintf("%q, %v", info, err)
	}
	if secured != nil {
		encrypted := tls.Client(conn, secured)
		if err := encrypted.HandshakeContext(ctx); isTimeout(err) {
			return Unreachable, err.Error()
		} else if err != nil {
			return Refused, err.Error()
		}
		conn, lines = encrypted, bufio.NewReader(encrypted)
	}
	if _, err := io.WriteString(conn, "CONNECT {\"verbose\":false}\r\nPING\r\n"); err != nil {
		return Refused, err.Error()
	}
	line, err := lines.ReadString('\n')
	for err == nil && strings.HasPrefix(line, "INFO ") {
		line, err = lines.ReadString('\n')
	}
	switch {
	case strings.HasPrefix(line, "PONG"):
		return Answered, strings.TrimSpace(line)
	case isTimeout(err):
		return Unreachable, err.Error()
	default: // an error, or it hung up
		return Refused, fmt.Sprintf("%q, %v", strings.TrimSpace(line), err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
