package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certificate is a server's certificate, its key, and the authority that clients are to trust, in files.
type Certificate struct{ Chain, Key, Authority string }

// NewCertificate makes a certificate of a host, by an authority of its own, in files of the test.
func NewCertificate(t *testing.T, host string) Certificate {
	t.Helper()
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: fmt.Sprint("authority ", now.UnixNano())}, // no two have the same name
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano() + 1),
		Subject:      pkix.Name{CommonName: host}, // without a name GnuTLS and curl refuse it
		DNSNames:     []string{host},
		NotBefore:    authority.NotBefore,
		NotAfter:     authority.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signer, key := newKey(t), newKey(t)
	issued := func(template *x509.Certificate, public *ecdsa.PublicKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, authority, public, signer)
		Must(t, err)
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	Must(t, err)
	dir := t.TempDir()
	cert := Certificate{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt")}
	Must(t, os.WriteFile(cert.Chain, issued(server, &key.PublicKey), 0o600))
	Must(t, os.WriteFile(cert.Key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}), 0o600))
	Must(t, os.WriteFile(cert.Authority, issued(authority, &signer.PublicKey), 0o600))
	return cert
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Must(t, err)
	return key
}
