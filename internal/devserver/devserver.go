// Package devserver finds or builds the Temporal dev server and runs it as a child process, for `baton dev`,
// `baton demo`, the tests and the benchmarks.
//
// [Binary] returns the program to run, and builds the pinned version once if there is none. [Start] runs it and
// waits until it answers. A [Server] can be stopped or killed, and reports when it ends by itself.
//
// Must not import: packages about conversations, the desk or workflows. Callers pass search attributes and
// settings.
package devserver

// Version is the version of the Temporal CLI that tools/go.mod pins. It is also the oldest version that is used
// from PATH.
const Version = "1.5.1"
