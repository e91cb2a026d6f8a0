package edge

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/filewatch"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Certificate is what browsers are shown, as its files are now. A handshake shows the
// one of its time; open connections go on with theirs, until MaxConnectionAge.
type Certificate struct {
	pair *filewatch.Value[*tls.Certificate]
}

// OpenCertificate reads the PEM files of a certificate and its key. Without both it
// returns nil.
func OpenCertificate(cert, key string, tel *telemetry.Telemetry) (*Certificate, error) {
	if cert == "" && key == "" {
		return nil, nil
	}
	for variable, path := range map[string]string{"SOUK_GATEWAY_HTTPS_CERT": cert, "SOUK_GATEWAY_HTTPS_KEY": key} {
		if path == "" {
			return nil, fmt.Errorf("environment variable %s is required: a certificate and its key are set together", variable)
		}
	}
	pair, err := filewatch.Open(filewatch.Config[*tls.Certificate]{
		Name:  "https.certificate",
		Files: []filewatch.File{{Variable: "SOUK_GATEWAY_HTTPS_CERT", Path: cert}, {Variable: "SOUK_GATEWAY_HTTPS_KEY", Path: key}},
		Make: func(contents [][]byte) (*tls.Certificate, error) {
			c, err := tls.X509KeyPair(contents[0], contents[1])
			if err != nil {
				return nil, err
			}
			tel.Log.Info("certificate for HTTPS loaded", "path", cert, "names", c.Leaf.DNSNames, "expires", c.Leaf.NotAfter)
			return &c, nil
		},
	}, tel)
	if err != nil {
		return nil, err
	}
	c := &Certificate{pair}
	_, err = tel.Meter().Float64ObservableGauge("souk.https.certificate.expiry", metric.WithUnit("s"),
		metric.WithDescription("Time until the certificate that browsers are shown expires."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(time.Until(pair.Now().Leaf.NotAfter).Seconds())
			return nil
		}))
	return c, err
}

// Run follows the files until ctx is done.
func (c *Certificate) Run(ctx context.Context) error { return c.pair.Run(ctx) }

func (c *Certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Now(), nil },
	}
}
