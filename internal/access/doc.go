// Package access keeps the credentials at the desk: the account of the HTTP API with its token and webhook secret, API
// keys, sign-in sessions of browsers, and the identities that an identity provider gives to agents. Secrets of API
// keys are stored as hashes.
//
// Must not import: records, routes, routing, people, outbox, HTTP.
package access
