// Package outbox is what leaves the desk: webhooks of its events, each delivered at least once and in the order of its
// stream, and pages of the event log.
//
// Must not import: records, routes, routing, people, Temporal. Package internal/httpapi/webhook sends the requests.
package outbox
