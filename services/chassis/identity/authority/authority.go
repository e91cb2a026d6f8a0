// Package authority is a certificate authority for the parts of a shop: `souk up` has
// one of its own, and so have tests. A shop on the internet has cert-manager's or
// another one instead; the certificates look the same to package identity.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/souk-shop/souk/services/chassis/identity"
)

// skew is how far a certificate's beginning lies back, for clocks that disagree.
const skew = 5 * time.Minute

// Authority signs certificates of parts and lists of those that are revoked. Its keys
// are ECDSA on P-256.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// New makes an authority that is valid until notAfter. Its certificates can be for
// names of parts only.
func New(notAfter time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:                serial(),
		Subject:                     pkix.Name{CommonName: "souk authority " + rand.Text()[:8]},
		NotBefore:                   time.Now().Add(-skew),
		NotAfter:                    notAfter,
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{identity.Domain},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return Parse(append(certificate, secret...))
}

// Parse reads what PEM returned.
func Parse(text []byte) (*Authority, error) {
	a := &Authority{pem: text}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var err error
		switch block.Type {
		case "CERTIFICATE":
			a.cert, err = x509.ParseCertificate(block.Bytes)
		case "PRIVATE KEY":
			var key any
			if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				var ok bool
				if a.key, ok = key.(*ecdsa.PrivateKey); !ok {
					err = fmt.Errorf("a key of type %T", key)
				}
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if a.cert == nil || a.key == nil || !a.key.PublicKey.Equal(a.cert.PublicKey) {
		return nil, errors.New("no certificate of an authority with its key")
	}
	return a, nil
}

// PEM is the authority's certificate and key. Keep it where no other user reads it.
func (a *Authority) PEM() []byte { return a.pem }

// Certificate is what others need to check the authority's certificates.
func (a *Authority) Certificate() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// NotAfter is until when the authority's certificates are accepted.
func (a *Authority) NotAfter() time.Time { return a.cert.NotAfter }

// Issue makes a certificate of a part that is valid from notBefore to notAfter. It
// returns the certificate and its key as one text, so that a file with both is replaced
// at once.
func (a *Authority) Issue(part string, notBefore, notAfter time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: identity.Name(part)},
		DNSNames:     []string{identity.Name(part)},
		NotBefore:    notBefore.Add(-skew),
		NotAfter:     notAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	secret, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), secret...), nil
}

// Revoke makes the list of what is revoked, of the texts that Issue returned.
func (a *Authority) Revoke(certificates ...[]byte) ([]byte, error) {
	template := &x509.RevocationList{Number: serial(), ThisUpdate: time.Now().Add(-skew), NextUpdate: a.cert.NotAfter}
	for _, text := range certificates {
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, errors.New("no certificate")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.cert, a.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), nil
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// serial is a random number of 120 bits, positive and shorter than the 20 bytes that
// RFC 5280 allows.
func serial() *big.Int {
	b := make([]byte, 15)
	_, _ = rand.Read(b) // never fails
	return new(big.Int).SetBytes(b)
}
