// Package deskload measures the desk alone: how many conversations a second it takes, and whether it stays correct
// meanwhile. There is no Temporal server. Callers run conversations by the rules, and send their snapshots to a
// routing.ConversationDesk as a worker does. A dispatcher in each process delivers matches.
//
// [Run] fills an empty database, runs the callers in processes of their own, and checks the desk while they run and
// afterwards. The program that calls Run must call [Caller] when [IsCaller] is true. lab/bench and its program desk use
// it.
//
// It uses only what routing, people and desk export, and the tables of the records, so that it can be built with other
// commits of them: see lab/bench/desk.
//
// Must not import: Temporal, HTTP, testing.
//
// Where to look:
//   - talk.go: the steps of a conversation; caller.go: the process that runs conversations.
//   - run.go: starts processes and takes the figures; proxy.go: makes the database remote; cpu.go: CPU time.
//   - watch.go: what is checked while the load runs; log.go: what is checked afterwards; read.go: the rows for both.
package deskload
