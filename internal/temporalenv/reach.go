package temporalenv

import (
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/api/serviceerror"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unreached returns the error for a server that did not accept the connection, with what to do. gRPC reports a
// failed handshake only as text.
func unreached(address string, err error) error {
	var denied *serviceerror.PermissionDenied
	switch text := err.Error(); {
	case strings.Contains(text, "x509: "):
		return fmt.Errorf("the Temporal server at %s shows a certificate that isn't trusted here: set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the authority's, TEMPORAL_TLS_SERVER_NAME to the name in it: %w", address, err)
	case strings.Contains(text, "remote error: tls: "):
		return fmt.Errorf("the Temporal server at %s wants a client's certificate that it trusts: set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH: %w", address, err)
	case strings.Contains(text, "broken pipe"), strings.Contains(text, "connection reset"): // the server's own error may be lost
		return fmt.Errorf("the server at %s breaks the connection off, as one does that wants a client's certificate: set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH, or set TEMPORAL_ADDRESS to one that wants none: %w", address, err)
	case errors.As(err, &denied) || status.Code(err) == codes.Unauthenticated:
		return fmt.Errorf("the Temporal server at %s lets us in with no such key: set TEMPORAL_API_KEY to one that may use the namespace: %w", address, err)
	}
	return &AwayError{fmt.Errorf("no Temporal server answers at %s: start one with `baton dev`, or set TEMPORAL_ADDRESS: %w", address, err)}
}

// AwayError is the error of [Dial] if no server answers. A later attempt may succeed.
type AwayError struct{ error }

// Unwrap returns the reason.
func (e *AwayError) Unwrap() error { return e.error }
