// Package postgres runs a private PostgreSQL server with the installed programs, for tests, benchmarks and fault
// injection. It downloads nothing, and uses no existing server.
//
// [Start] creates a cluster in its own folder and runs it on 127.0.0.1. A [Server] can be killed, as in a crash,
// and restarted with the same data and port, or stopped. It ends with the process that started it.
//
// Must not import: the desk, which has its own tables and queries.
package postgres
