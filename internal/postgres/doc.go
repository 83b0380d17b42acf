// Package postgres runs a private PostgreSQL server from the programs that are installed, for tests,
// benchmarks and fault injection. Nothing is downloaded, and no server of somebody else's is used.
//
// [Start] makes a cluster in a folder of its own and runs it on 127.0.0.1; a [Server] is killed and
// started again on the same data and port, as a crash would have it, or stopped. It ends with the process
// that started it. What may not come in: anything of the desk, whose tables and queries are its own.
package postgres
