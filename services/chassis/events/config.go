package events

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
)

// Config is where the broker is and how it is used.
type Config struct {
	// URL is the broker: "nats://host:4222" or "kafka://host:9092", with TLS
	// "nats+tls://" or "kafka+tls://"; several hosts are separated by commas, and
	// "user:password@" may stand before the first. Without it there is no broker: events
	// stay in the log.
	URL config.Secret `env:"URL"`
	// User and Password are those of the URL, for where they are separate secrets. Kafka
	// checks them by SCRAM-SHA-512.
	User     string        `env:"USER"`
	Password config.Secret `env:"PASSWORD"`
	// NKeyFile is the file of an NKey's seed (NATS), instead of a user.
	NKeyFile string `env:"NKEY_FILE"`
	// CAFile has the certificates of those who sign the broker's; the system's when empty.
	CAFile string `env:"CA_FILE"`
	// ServerName is whose certificate the broker has, where that is not the host's.
	ServerName string `env:"SERVER_NAME"`
	// CertFile and KeyFile are the client's certificate, where the broker asks for one.
	CertFile string `env:"CERT_FILE"`
	KeyFile  string `env:"KEY_FILE"`
	// Replicas is on how many of the broker's nodes each stream or topic is that this
	// process makes. What is there already stays as it is.
	Replicas int `env:"REPLICAS, default=1"`
	// Retention is how long the broker keeps an event. A consumer that was away for
	// longer asks the owner.
	Retention time.Duration `env:"RETENTION, default=168h"`
	// MaxBytes bounds the bytes of a stream (NATS) or of a partition (Kafka); the
	// oldest events go first.
	MaxBytes int64 `env:"MAX_BYTES, default=1073741824"`
}

// Endpoint is what a Config's URL says.
type Endpoint struct {
	// Scheme is "nats" or "kafka".
	Scheme string
	// TLS is set when the connection is encrypted.
	TLS bool
	// Hosts are the addresses, each with its port.
	Hosts []string
	// User and Password are those of the URL, else of the Config.
	User     string
	Password config.Secret
}

var ports = map[string]string{"nats": "4222", "kafka": "9092"}

// Endpoint reads the URL. Its errors do not show the password.
func (c Config) Endpoint() (Endpoint, error) {
	e := Endpoint{User: c.User, Password: c.Password}
	scheme, rest, ok := strings.Cut(c.URL.Reveal(), "://")
	e.Scheme, e.TLS = strings.CutSuffix(scheme, "+tls")
	port := ports[e.Scheme]
	if !ok || port == "" {
		return e, errors.New("events URL: begin it with nats://, nats+tls://, kafka:// or kafka+tls://")
	}
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		u, err := url.Parse("x://" + rest[:i] + "@h")
		if err != nil || u.User == nil {
			return e, errors.New("events URL: user and password before the @ must be escaped as in any URL")
		}
		password, _ := u.User.Password()
		e.User, e.Password, rest = u.User.Username(), config.Secret(password), rest[i+1:]
	}
	for host := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), ",") {
		u, err := url.Parse("x://" + host)
		if err != nil || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
			return e, fmt.Errorf("events URL: %q is not host:port", host)
		}
		if u.Port() == "" {
			host += ":" + port
		}
		e.Hosts = append(e.Hosts, host)
	}
	return e, nil
}

// Validate refuses what no broker can be reached with.
func (c Config) Validate() error {
	if c.URL == "" {
		return nil
	}
	e, err := c.Endpoint()
	switch {
	case err != nil:
		return err
	case c.NKeyFile != "" && e.Scheme != "nats":
		return errors.New("events: an NKey is for NATS alone")
	case c.NKeyFile != "" && e.User != "":
		return errors.New("events: either an NKey or a user, not both")
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("events: certificate and key go together")
	case (c.CAFile != "" || c.CertFile != "") && !e.TLS:
		return fmt.Errorf("events: certificates are for %s+tls://", e.Scheme)
	case c.Replicas < 0 || c.Retention < 0 || c.MaxBytes < 0:
		return fmt.Errorf("events: replicas %d, retention %v, max bytes %d: none is negative", c.Replicas, c.Retention, c.MaxBytes)
	}
	return nil
}

// TLSConfig is how the connection is encrypted, nil when it is not. The client's
// certificate is read anew for each connection, so that a rotated one is taken; the CA's are
// read once.
func (c Config) TLSConfig() (*tls.Config, error) {
	e, err := c.Endpoint()
	if err != nil || !e.TLS {
		return nil, err
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("events: %w", err)
		}
		if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("events: no certificate in %s", c.CAFile)
		}
	}
	if c.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
			return &pair, err
		}
		if _, err := load(); err != nil {
			return nil, fmt.Errorf("events: %w", err)
		}
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return t, nil
}
