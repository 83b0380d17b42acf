// Package testenv runs Baton for end-to-end tests, benchmarks and chaos: a Temporal dev server, a desk, and the
// programs of Baton as processes.
//
//   - [Open] starts the server and opens the desk: an [Environment]. [AddQueues] and [AddAgents] set it up.
//   - [Build] builds programs, and [Start] runs one: a [Process], with its output and what it must not print.
//   - [Call] sends a request to the HTTP API.
//   - [Await] waits.
//   - [History], [AtRest], [Reset] and [CopyDatabase] read and change a workflow or a database underneath Baton.
//
// Everything returns errors. The tests in e2e turn them into failures.
//
// Must not import: the package testing, or test libraries. Programs do not import this package.
package testenv
