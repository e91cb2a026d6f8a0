//go:build unix

package kafka_test

import (
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/souk-shop/souk/services/chassis/events/brokertest"
	"github.com/souk-shop/souk/services/chassis/events/kafkaserver"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/process"
)

// TestConformance: a real broker of Kafka with TLS and SCRAM keeps all promises, also when
// it is killed or frozen.
func TestConformance(t *testing.T) {
	t.Parallel()
	authority := identitytest.Authority(t)
	files := identitytest.Files(t, identitytest.Issue(t, authority, "kafka"), authority)
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	cfg := kafkaserver.Config{
		Dir: filepath.Join(t.TempDir(), "kafka"), Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), User: user, Password: password,
		CertFile: files.TLSCert, KeyFile: files.TLSKey, CAFile: files.TLSCA, ServerName: "kafka.souk", Output: t.Output(), Notice: func(s string) { t.Log(s) },
	}
	var server *kafkaserver.Server
	start := func(t *testing.T) {
		t.Helper()
		if server, err = kafkaserver.Start(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	start(t)
	t.Cleanup(func() { server.Kill() })
	h := harness(t, []string{cfg.Address}, files.TLSCA)
	h.Kill, h.Restart = func(*testing.T) { server.Kill() }, start
	t.Run("promises", func(t *testing.T) { brokertest.Run(t, h) })
	t.Run("restarts", func(t *testing.T) { brokertest.RunRestarts(t, h) })
	t.Run("frozen", func(t *testing.T) {
		brokertest.Frozen(t, h, func() { server.Signal(syscall.SIGSTOP) }, func() { server.Signal(syscall.SIGCONT) })
	})
}
