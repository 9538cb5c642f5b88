package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// pki is a certificate authority with what the components need of it, as files
// in the cluster's directory.
type pki struct {
	dir string
	ca  keyPair
}

// keyPair is a certificate and its private key.
type keyPair struct {
	certPEM, keyPEM []byte

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// The names of the files in the cluster's directory.
const (
	caFile             = "ca.crt"
	servingCertFile    = "serving.crt"
	servingKeyFile     = "serving.key"
	etcdClientCertFile = "etcd-client.crt"
	etcdClientKeyFile  = "etcd-client.key"
	tokenKeyFile       = "service-account.key"
)

// newPKI makes an authority and writes the files of the components.
func newPKI(dir string) (*pki, error) {
	ca, err := newKeyPair(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "minilb-test-ca"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}, nil)
	if err != nil {
		return nil, err
	}
	p := &pki{dir: dir, ca: ca}

	// One certificate serves all three components: each listens on loopback,
	// and the API server also answers to its names inside a cluster.
	serving, err := newKeyPair(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "minilb-test"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local",
		},
		IPAddresses: []net.IP{
			net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.ParseIP("10.96.0.1"), net.ParseIP("fd00:96::1"),
		},
	}, &ca)
	if err != nil {
		return nil, err
	}
	etcdClient, err := p.client("kube-apiserver-etcd-client", "")
	if err != nil {
		return nil, err
	}
	// The key that signs ServiceAccount tokens needs no certificate.
	tokens, err := newKeyPair(&x509.Certificate{Subject: pkix.Name{CommonName: "service-accounts"}}, &ca)
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{
		caFile:             ca.certPEM,
		servingCertFile:    serving.certPEM,
		servingKeyFile:     serving.keyPEM,
		etcdClientCertFile: etcdClient.certPEM,
		etcdClientKeyFile:  etcdClient.keyPEM,
		tokenKeyFile:       tokens.keyPEM,
	} {
		if err := os.WriteFile(p.path(name), content, 0o600); err != nil {
			return nil, fmt.Errorf("write credentials: %w", err)
		}
	}
	return p, nil
}

// copyTo writes the files of the components to another directory, with the same keys.
func (p *pki) copyTo(dir string) (*pki, error) {
	for _, name := range []string{caFile, servingCertFile, servingKeyFile, etcdClientCertFile, etcdClientKeyFile, tokenKeyFile} {
		content, err := os.ReadFile(p.path(name))
		if err != nil {
			return nil, fmt.Errorf("copy credentials: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, fmt.Errorf("copy credentials: %w", err)
		}
	}
	return &pki{dir: dir, ca: p.ca}, nil
}

func (p *pki) path(name string) string {
	return filepath.Join(p.dir, name)
}

// client makes a client certificate; to Kubernetes its common name is the user
// and its organization the group.
func (p *pki) client(user, group string) (keyPair, error) {
	subject := pkix.Name{CommonName: user}
	if group != "" {
		subject.Organization = []string{group}
	}
	return newKeyPair(&x509.Certificate{
		Subject:     subject,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, &p.ca)
}

// newKeyPair makes a key and a certificate for it, signed by ca or, if that is
// nil, by itself.
func newKeyPair(template *x509.Certificate, ca *keyPair) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("generate a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return keyPair{}, fmt.Errorf("generate a serial: %w", err)
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().AddDate(1, 0, 0)

	parent, signer := template, key
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return keyPair{}, fmt.Errorf("sign a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return keyPair{}, fmt.Errorf("parse a certificate: %w", err)
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return keyPair{}, fmt.Errorf("encode a key: %w", err)
	}
	return keyPair{
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}),
		cert:    cert,
		key:     key,
	}, nil
}

// authInfo is the kubeconfig user with this certificate.
func (k keyPair) authInfo() *api.AuthInfo {
	return &api.AuthInfo{ClientCertificateData: k.certPEM, ClientKeyData: k.keyPEM}
}

// writeKubeconfig writes a kubeconfig that stands by itself: it names no other file.
func (c *Cluster) writeKubeconfig(path string, user *api.AuthInfo) error {
	const name = "minilb-test"
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{Server: c.URL, CertificateAuthorityData: c.pki.ca.certPEM}
	config.AuthInfos[name] = user
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}
