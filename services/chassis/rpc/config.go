// Package rpc builds a service's gRPC server and the clients of its neighbors:
// certificates on both sides, deadlines that shrink per hop, validation, health that tells the truth,
// one table of errors, logs, metrics and traces.
package rpc

import (
	"net"
	"time"
)

const (
	// deadlineShave is what each hop keeps of the caller's deadline, so that the
	// callee can still report its own timeout.
	deadlineShave = 20 * time.Millisecond
	// minDeadline is the time below which work is refused rather than begun.
	minDeadline = 100 * time.Millisecond
	// maxMessageBytes is the default limit of one message, either way.
	maxMessageBytes = 16 << 20
	// streamWindow and connWindow are how many bytes may be under way unread.
	// Fixed ones spare the pings by which gRPC would else look for the best.
	streamWindow = 1 << 20
	connWindow   = 4 << 20
	// maxStreams is how many calls a client may have under way on a connection: a gateway has
	// 1,024 event streams, and some hundred other calls. Those that it resets at once count
	// while their handlers run.
	maxStreams = 4096
	// maxHeaderBytes bounds the metadata of a call, as decoded: a trace and a deadline.
	maxHeaderBytes = 16 << 10
	// readIdle is after how long without a frame a client is asked for one, which it has
	// pingTimeout for. pingsApart is how far apart its own pings have to be: the third that
	// is too early ends the connection.
	readIdle    = 30 * time.Second
	pingTimeout = 10 * time.Second
	pingsApart  = 10 * time.Second
	// handshakeTimeout bounds how long one who has connected may take to say who it is.
	handshakeTimeout = 10 * time.Second
)

// ServerConfig is how a server listens.
type ServerConfig struct {
	// Listen is the address, host:port or :port.
	Listen string `env:"LISTEN, default=:9090"`
	// Listener is listened on instead, if set; the server closes it.
	Listener net.Listener
	// Reflection answers questions about the contract (gRPC server reflection), from every
	// part; for development.
	Reflection bool `env:"REFLECTION"`
	// MaxRecvBytes limits one request; 16 MiB when 0.
	MaxRecvBytes int `env:"MAX_RECV_BYTES, default=16777216"`
	// MaxConnectionAge is after how long a client is asked to connect anew, so
	// that it finds new replicas; negative is never.
	MaxConnectionAge time.Duration `env:"MAX_CONNECTION_AGE, default=5m"`
	// DrainDelay is how long the server still takes new calls after it has told
	// health that it is stopping: the time in which balancers notice.
	DrainDelay time.Duration `env:"DRAIN_DELAY, default=0s"`
	// DrainTimeout bounds the wait for calls under way when the server stops;
	// 15 s when 0.
	DrainTimeout time.Duration `env:"DRAIN_TIMEOUT, default=15s"`
}

// ClientConfig is how a neighbor is reached.
type ClientConfig struct {
	// Target is host:port or any gRPC target, such as dns:///catalog:9090. Calls
	// are spread over all addresses that the name has.
	Target string `env:"TARGET, required"`
	// Timeout is the deadline of calls whose context has none; 5 s when 0.
	Timeout time.Duration `env:"TIMEOUT, default=5s"`
}
