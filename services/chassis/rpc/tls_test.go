package rpc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	File string // the authority's certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.File, _ = a.issue("authority", nil)
	return a
}

// issue writes a certificate for 127.0.0.1 and its key.
func (a *authority) issue(name string, usage []x509.ExtKeyUsage) (certFile, keyFile string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:  usage,
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage |= x509.KeyUsageCertSign
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.cert == nil {
		a.key = key
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+"-key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	cert, key := ours.issue("server", []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth})
	clientCert, clientKey := ours.issue("client", []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth})
	strangerCert, strangerKey := theirs.issue("stranger", []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth})
	tls := ServerConfig{TLSCert: cert, TLSKey: key}
	mutual := ServerConfig{TLSCert: cert, TLSKey: key, TLSClientCA: ours.File}
	for name, test := range map[string]struct {
		server ServerConfig
		client ClientConfig
		ok     bool
	}{
		"TLS":                     {tls, ClientConfig{TLSCA: ours.File}, true},
		"another authority":       {tls, ClientConfig{TLSCA: theirs.File}, false},
		"the system's":            {tls, ClientConfig{TLS: true}, false},
		"another name":            {tls, ClientConfig{TLSCA: ours.File, TLSServerName: "cart"}, false},
		"plain text":              {tls, ClientConfig{}, false},
		"TLS to plain text":       {ServerConfig{}, ClientConfig{TLSCA: ours.File}, false},
		"mutual":                  {mutual, ClientConfig{TLSCA: ours.File, TLSCert: clientCert, TLSKey: clientKey}, true},
		"mutual, no certificate":  {mutual, ClientConfig{TLSCA: ours.File}, false},
		"mutual, of another's":    {mutual, ClientConfig{TLSCA: ours.File, TLSCert: strangerCert, TLSKey: strangerKey}, false},
		"mutual, certs not asked": {tls, ClientConfig{TLSCA: ours.File, TLSCert: clientCert, TLSKey: clientKey}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serveEcho(t, &echo{say: same}, options{server: test.server, client: test.client})
			_, err := f.say(t.Context(), 1)
			if test.ok && err != nil || !test.ok && status.Code(err) != codes.Unavailable {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestHalfATLSConfigurationIsAnError(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue("server", nil)
	f := serveEcho(t, &echo{}, options{})
	for _, cfg := range []ServerConfig{
		{TLSCert: cert}, {TLSKey: key}, {TLSClientCA: a.File},
		{TLSCert: cert, TLSKey: key, TLSClientCA: key}, {TLSCert: cert, TLSKey: key, TLSClientCA: "none"}, {TLSCert: key, TLSKey: cert},
	} {
		cfg.Listen = "127.0.0.1:0"
		if _, err := NewServer(cfg, f.tel, ErrorTable{}); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
	for _, cfg := range []ClientConfig{
		{}, {TLSCert: cert, TLSKey: key}, {TLS: true, TLSCert: cert}, {TLSCA: key}, {TLSCA: "none"},
	} {
		if cfg != (ClientConfig{}) {
			cfg.Target = "localhost:1"
		}
		if _, err := Dial(cfg, f.tel); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}
