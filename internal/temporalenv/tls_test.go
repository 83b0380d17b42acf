package temporalenv_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/baton-transfers/baton/internal/devserver"
	"github.com/baton-transfers/baton/internal/temporalenv"
)

// TestEnvironment connects to a Temporal server behind a proxy that requires TLS with client certificates,
// configured by the environment only.
func TestEnvironment(t *testing.T) {
	trusted, stranger := newAuthority(t), newAuthority(t)
	proxy := newTLSProxy(t, trusted)
	variables := map[string]string{
		"TEMPORAL_ADDRESS": proxy.address, "TEMPORAL_TLS": "true", "TEMPORAL_TLS_SERVER_CA_CERT_PATH": trusted.certificate,
		"TEMPORAL_TLS_CLIENT_CERT_PATH": trusted.leaf, "TEMPORAL_TLS_CLIENT_KEY_PATH": trusted.key,
	}
	for _, test := range []struct {
		name     string
		changes  map[string]string
		sentence string // empty: it connects
	}{
		{"certificates in files", nil, ""},
		{"certificates as data", map[string]string{
			"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "", "TEMPORAL_TLS_SERVER_CA_CERT_DATA": read(t, trusted.certificate),
			"TEMPORAL_TLS_CLIENT_CERT_PATH": "", "TEMPORAL_TLS_CLIENT_CERT_DATA": read(t, trusted.leaf),
			"TEMPORAL_TLS_CLIENT_KEY_PATH": "", "TEMPORAL_TLS_CLIENT_KEY_DATA": read(t, trusted.key),
		}, ""},
		{"an API key", map[string]string{"TEMPORAL_API_KEY": "the-key"}, ""},
		{"an API key that isn't known", map[string]string{"TEMPORAL_API_KEY": "another"}, "set TEMPORAL_API_KEY"},
		{"a server with another certificate", map[string]string{"TEMPORAL_TLS_SERVER_CA_CERT_PATH": stranger.certificate}, "set TEMPORAL_TLS_SERVER_CA_CERT_PATH"},
		{"a server of another name", map[string]string{"TEMPORAL_TLS_SERVER_NAME": "temporal.example.com"}, "TEMPORAL_TLS_SERVER_NAME to the name"},
		{"no client's certificate", map[string]string{"TEMPORAL_TLS_CLIENT_CERT_PATH": "", "TEMPORAL_TLS_CLIENT_KEY_PATH": ""}, "set TEMPORAL_TLS_CLIENT_CERT_PATH"},
		{"a stranger's certificate", map[string]string{
			"TEMPORAL_TLS_CLIENT_CERT_PATH": stranger.leaf, "TEMPORAL_TLS_CLIENT_KEY_PATH": stranger.key,
		}, "set TEMPORAL_TLS_CLIENT_CERT_PATH"},
		{"a file that isn't there", map[string]string{"TEMPORAL_TLS_CLIENT_KEY_PATH": "missing.pem"}, "TEMPORAL_*"},
		{"no TLS", map[string]string{"TEMPORAL_TLS": "false"}, "set TEMPORAL_ADDRESS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range variables {
				t.Setenv(name, value)
			}
			for name, value := range test.changes {
				if t.Setenv(name, value); value == "" {
					require.NoError(t, os.Unsetenv(name))
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c, err := temporalenv.Dial(ctx, temporalenv.Options{})
			if test.sentence != "" {
				require.ErrorContains(t, err, test.sentence)
				require.NotContains(t, err.Error(), "another", "a key stays secret")
				return
			}
			require.NoError(t, err)
			defer c.Close()
			_, err = c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: "default"})
			require.NoError(t, err)
		})
	}
}

// proxy is a proxy in front of a Temporal server. It terminates TLS, requires client certificates of its authority,
// and accepts one API key.
type proxy struct{ address string }

func newTLSProxy(t *testing.T, trusted authority) proxy {
	t.Helper()
	binary, err := devserver.Binary(t.Context(), os.Stderr)
	require.NoError(t, err)
	server, err := devserver.Start(t.Context(), devserver.Options{Binary: binary})
	require.NoError(t, err)
	t.Cleanup(server.Kill)

	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: server.Address})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	forward.Transport, forward.FlushInterval = transport, -1
	own, err := tls.LoadX509KeyPair(trusted.leaf, trusted.key)
	require.NoError(t, err)
	clients := x509.NewCertPool()
	require.True(t, clients.AppendCertsFromPEM([]byte(read(t, trusted.certificate))))
	listener := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get("Authorization"); key != "" && key != "Bearer the-key" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	listener.EnableHTTP2 = true
	listener.TLS = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	listener.StartTLS()
	t.Cleanup(listener.Close)
	return proxy{listener.Listener.Addr().String()}
}

// authority is a certificate authority with one certificate for servers and clients, in files.
type authority struct{ certificate, leaf, key string }

func newAuthority(t *testing.T) authority {
	t.Helper()
	folder := t.TempDir()
	a := authority{filepath.Join(folder, "ca.crt"), filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, NotAfter: ca.NotAfter,
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signed, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	require.NoError(t, err)
	write(t, a.certificate, "CERTIFICATE", signed)
	signed, err = x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)
	require.NoError(t, err)
	write(t, a.leaf, "CERTIFICATE", signed)
	encoded, err := x509.MarshalPKCS8PrivateKey(leafKey)
	require.NoError(t, err)
	write(t, a.key, "PRIVATE KEY", encoded)
	return a
}

func write(t *testing.T, file, kind string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600))
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(content)
}
