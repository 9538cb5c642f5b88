package main

import (
	"bytes"
	"encoding/pem"
	"runtime/debug"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// rootsModule is where the certificates come from.
const rootsModule = "golang.org/x/crypto/x509roots/fallback"

// rootsVersion returns the version of that module.
func rootsVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == rootsModule {
				return dep.Version
			}
		}
	}
	return "unknown"
}

// certificates are the roots that Mozilla trusts, for those whom queries are forwarded to over TLS
// and for API servers with a public certificate. A root that is trusted under conditions is left out:
// the file cannot tell them.
func certificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return out.Bytes()
}
