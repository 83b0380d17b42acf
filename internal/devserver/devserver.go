// Package devserver finds or builds the Temporal dev server and runs it as a child process, for
// `starter dev`, `starter demo`, the tests and the benchmarks.
//
// [Binary] says which program to run, and builds the pinned one once where there is none; [Start]
// runs it until it answers; a [Server] is stopped, killed, or noticed when it ends by itself. What
// may not come in: anything of conversations, the desk or workflows. Search attributes and settings
// are handed in by those who own them.
package devserver

// Version is the version of the Temporal CLI that tools/go.mod pins, and the oldest that is used
// when it is found in PATH.
const Version = "1.5.1"
