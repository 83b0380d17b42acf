package access

// This file gives the tests of this package what it does not export.

const (
	MaxCallbackURL  = maxCallbackURL
	SessionsDropped = sessionsDropped
)

var ValidWorkspace = validWorkspace
