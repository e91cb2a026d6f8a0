package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

func serverCredentials(cfg ServerConfig) (credentials.TransportCredentials, error) {
	if cfg.TLSCert == "" && cfg.TLSKey == "" {
		if cfg.TLSClientCA != "" {
			return nil, errors.New("TLS_CLIENT_CA needs TLS_CERT and TLS_KEY")
		}
		return insecure.NewCredentials(), nil
	}
	certificate, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	tc := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}
	if cfg.TLSClientCA != "" {
		if tc.ClientCAs, err = loadAuthorities(cfg.TLSClientCA); err != nil {
			return nil, err
		}
		tc.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return credentials.NewTLS(tc), nil
}

func clientCredentials(cfg ClientConfig) (credentials.TransportCredentials, error) {
	if !cfg.TLS && cfg.TLSCA == "" {
		if cfg.TLSCert != "" || cfg.TLSKey != "" {
			return nil, errors.New("TLS_CERT and TLS_KEY need TLS or TLS_CA")
		}
		return insecure.NewCredentials(), nil
	}
	tc := &tls.Config{ServerName: cfg.TLSServerName, MinVersion: tls.VersionTLS13}
	if cfg.TLSCA != "" {
		pool, err := loadAuthorities(cfg.TLSCA)
		if err != nil {
			return nil, err
		}
		tc.RootCAs = pool
	}
	if cfg.TLSCert != "" || cfg.TLSKey != "" {
		certificate, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		tc.Certificates = []tls.Certificate{certificate}
	}
	return credentials.NewTLS(tc), nil
}

func loadAuthorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificate authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificate authorities: no certificate in %s", file)
	}
	return pool, nil
}
