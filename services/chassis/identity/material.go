package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/souk-shop/souk/services/chassis/filewatch"
)

var (
	errRevoked = errors.New("the certificate is revoked")
	errNoPart  = errors.New("the certificate does not name exactly one part, <part>." + Domain)
)

// material is a certificate with its key, and what others' are checked with. It is not
// changed once it is made.
type material struct {
	cert        tls.Certificate
	leaf        *x509.Certificate
	pool        *x509.CertPool
	authorities []*x509.Certificate
	revoked     map[string]bool // by issuer and serial number
}

// open reads the files. They are three values: what is broken stays as it was, and the
// others do not wait for it. A list of revoked certificates counts although the new
// certificate is unreadable.
func (id *Identity) open() error {
	file := func(variable, path string) filewatch.File {
		return filewatch.File{Variable: id.prefix + variable, Path: path}
	}
	var certErr, caErr, crlErr error
	id.certificate, certErr = filewatch.Open(filewatch.Config[*tls.Certificate]{
		Name:  "tls.certificate",
		Files: []filewatch.File{file("TLS_CERT", id.cfg.TLSCert), file("TLS_KEY", id.cfg.TLSKey)},
		Make: func(contents [][]byte) (*tls.Certificate, error) {
			c, err := pair(contents[0], contents[1], id.part)
			return &c, err
		},
	}, id.tel)
	id.authorities, caErr = filewatch.Open(filewatch.Config[[]*x509.Certificate]{
		Name: "tls.authorities", Files: []filewatch.File{file("TLS_CA", id.cfg.TLSCA)},
		Make: func(contents [][]byte) ([]*x509.Certificate, error) { return parseAuthorities(contents[0]) },
	}, id.tel)
	if err := errors.Join(certErr, caErr); err != nil {
		return err
	}
	revoked := filewatch.Config[map[string]bool]{
		Name: "tls.revoked",
		Make: func(contents [][]byte) (map[string]bool, error) {
			return parseRevoked(contents[0], id.authorities.Now())
		},
	}
	if id.cfg.TLSCRL != "" {
		revoked.Files = []filewatch.File{file("TLS_CRL", id.cfg.TLSCRL)}
	}
	if id.revoked, crlErr = filewatch.Open(revoked, id.tel); crlErr != nil {
		return crlErr
	}
	id.now = id.make()
	return nil
}

// look reads the files and returns the material that they make; nil when it is what it
// was.
func (id *Identity) look(ctx context.Context) *material {
	certificate, authorities := id.certificate.Look(ctx), id.authorities.Look(ctx)
	if authorities {
		id.revoked.Remake() // another authority may make sense of the same list
	}
	if revoked := id.revoked.Look(ctx); !certificate && !authorities && !revoked {
		return nil
	}
	m := id.make()
	id.mu.Lock()
	defer id.mu.Unlock()
	id.now = m
	return m
}

// make makes material of what the files are now.
func (id *Identity) make() *material {
	cert, authorities := id.certificate.Now(), id.authorities.Now()
	m := &material{cert: *cert, leaf: cert.Leaf, pool: x509.NewCertPool(), authorities: authorities, revoked: id.revoked.Now()}
	for _, a := range authorities {
		m.pool.AddCert(a)
	}
	return m
}

// pair makes a certificate of its file and its key's.
func pair(cert, key []byte, part string) (tls.Certificate, error) {
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return c, err
	}
	name, err := partOf(c.Leaf)
	if err != nil {
		return c, err
	}
	if name != part {
		return c, fmt.Errorf("the certificate is of %s, and this is %s", Name(name), Name(part))
	}
	return c, nil
}

func parseAuthorities(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	return out, nil
}

// parseRevoked reads lists of revoked certificates. Lists of authorities that are not
// accepted are passed over: nor are their certificates.
func parseRevoked(text []byte, authorities []*x509.Certificate) (map[string]bool, error) {
	lists := [][]byte{}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "X509 CRL" {
			lists = append(lists, block.Bytes)
		}
	}
	if len(lists) == 0 {
		lists = append(lists, text) // DER
	}
	out := map[string]bool{}
	for _, der := range lists {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, err
		}
		known, signed := false, false
		for _, a := range authorities {
			if bytes.Equal(a.RawSubject, list.RawIssuer) {
				known = true
				signed = signed || list.CheckSignatureFrom(a) == nil
			}
		}
		if known && !signed {
			return nil, fmt.Errorf("the list of %s has no signature of it", list.Issuer)
		}
		for _, c := range list.RevokedCertificateEntries {
			out[revocation(list.RawIssuer, c.SerialNumber)] = true
		}
	}
	return out, nil
}

func revocation(issuer []byte, serial *big.Int) string { return string(issuer) + " " + serial.Text(16) }

// partOf is the part whose certificate it is.
func partOf(c *x509.Certificate) (string, error) {
	part := ""
	for _, name := range c.DNSNames {
		label, ok := strings.CutSuffix(name, "."+Domain)
		if !ok || strings.Contains(label, ".") {
			continue // a name that the cluster gave
		}
		if part != "" || label == "" || label == "*" {
			return "", errNoPart
		}
		part = label
	}
	if part == "" {
		return "", errNoPart
	}
	return part, nil
}

// verify checks the certificates that a peer has shown, its own one first.
func (m *material) verify(shown []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	intermediates := x509.NewCertPool()
	for _, c := range shown[1:] {
		intermediates.AddCert(c)
	}
	chains, err := shown[0].Verify(x509.VerifyOptions{
		Roots: m.pool, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return err
	}
	if _, err := partOf(shown[0]); err != nil {
		return err
	}
	return m.anyUnrevoked(chains)
}

// anyUnrevoked fails when each chain has a revoked certificate.
func (m *material) anyUnrevoked(chains [][]*x509.Certificate) error {
	for _, chain := range chains {
		revoked := false
		for _, c := range chain {
			revoked = revoked || m.revoked[revocation(c.RawIssuer, c.SerialNumber)]
		}
		if !revoked {
			return nil
		}
	}
	return errRevoked
}

// self fails when others will not accept the own certificate.
func (m *material) self(now time.Time) error {
	shown, err := x509.ParseCertificates(bytes.Join(m.cert.Certificate, nil))
	if err != nil {
		return err
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := m.verify(shown, usage, now); err != nil {
			return err
		}
	}
	return nil
}

// authority is the one that signed the own certificate, of several the one that is accepted
// longest; nil when it is not one of those that are.
func (m *material) authority() *x509.Certificate {
	var last *x509.Certificate
	for _, a := range m.authorities {
		if bytes.Equal(a.RawSubject, m.leaf.RawIssuer) && m.leaf.CheckSignatureFrom(a) == nil && (last == nil || a.NotAfter.After(last.NotAfter)) {
			last = a
		}
	}
	return last
}
