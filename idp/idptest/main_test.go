package idptest

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// TestMain trusts the certificate of httptest's servers beside those that the machine trusts, so that a Gatehouse fetches from them as
// from any https server.
func TestMain(m *testing.M) {
	os.Exit(trusting(m))
}

func trusting(m *testing.M) int {
	server := httptest.NewTLSServer(nil)
	server.Close()
	dir, err := os.MkdirTemp("", "idptest")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "roots.pem")
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, roots, 0o600); err != nil {
		panic(err)
	}
	if err := os.Setenv("SSL_CERT_FILE", file); err != nil { // crypto/x509
		panic(err)
	}
	runFolder = dir
	return m.Run()
}
