package identity

import (
	"errors"
	"regexp"

	"golang.org/x/oauth2"
)

// Fault says who can fix a failed sign-in.
type Fault string

// Faults of a sign-in.
const (
	// FaultVisitor means that the person can begin the sign-in again.
	FaultVisitor Fault = "visitor"
	// FaultDenied means that the person may not sign in.
	FaultDenied Fault = "denied"
	// FaultProvider means that the provider does not answer now.
	FaultProvider Fault = "provider"
	// FaultSetup means that the administrator of Baton or of the provider must fix the setup.
	FaultSetup Fault = "setup"
)

// Error is a failed sign-in.
type Error struct {
	Fault Fault
	// Sentence tells the person what has happened and what to do.
	Sentence string

	cause error
}

// Error returns the cause, for a log. It contains no secret.
func (e *Error) Error() string { return "sign in: " + e.cause.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

func visitors(cause error, sentence string) *Error { return &Error{FaultVisitor, sentence, cause} }
func denied(cause error, sentence string) *Error   { return &Error{FaultDenied, sentence, cause} }
func setup(cause error, sentence string) *Error    { return &Error{FaultSetup, sentence, cause} }
func away(cause error) *Error {
	return &Error{FaultProvider, "The provider that you sign in with can't be reached now. Try again in a moment.", cause}
}

// codes matches the error codes of RFC 6749 and OpenID Connect. A code of another form is not repeated in messages.
var codes = regexp.MustCompile(`^[a-z_]{1,64}$`)

// declined returns the error for an error response of the provider.
func declined(code, description string) *Error {
	if !codes.MatchString(code) {
		code = "an unknown error"
	}
	cause := errors.New("the provider answered " + code + ": " + description)
	switch code {
	case "access_denied":
		return denied(cause, "The provider did not let you sign in here, or you said no. Try again, or ask your administrator to allow it there.")
	case "server_error", "temporarily_unavailable":
		return away(cause)
	}
	return setup(cause, "The provider did not sign you in ("+code+"). Try again; if it stays, tell your administrator.")
}

// exchangeFailed returns the error for a failed exchange of a code for tokens.
func exchangeFailed(err error) *Error {
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case !ok:
		return away(err)
	case answer.ErrorCode == "invalid_grant":
		return visitors(err, "This sign-in was used already, or has taken too long. Begin again.")
	case answer.ErrorCode == "invalid_client" || answer.ErrorCode == "unauthorized_client":
		return setup(err, "The provider does not accept Baton as its client. Tell your administrator: BATON_OIDC_CLIENT_ID or BATON_OIDC_CLIENT_SECRET is wrong.")
	case answer.Response != nil && answer.Response.StatusCode >= 500:
		return away(err)
	}
	return setup(err, "The provider did not say who you are. Try again; if it stays, tell your administrator.")
}
