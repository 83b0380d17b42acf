// Package people keeps agents and queues: adding, changing and removing them, the directory of whom a conversation can
// be transferred to, and the demo's first agents.
//
// Which agents are on a queue, and their presence, is also changed by package routing, which this package builds on.
//
// Must not import: outbox, Temporal, HTTP.
package people
