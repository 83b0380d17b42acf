// Package workflows makes the rules of package conversation durable: one Temporal workflow per conversation.
//
// The workflow decides first and syncs the desk afterwards. One loop (loop.go) takes signals, updates and due
// deadlines in order of arrival (inbox.go) and applies them. A second coroutine (projector.go) keeps the desk up to
// date. visible.go makes what operators see in the Temporal Web UI. contract.go has the names that services use.
// Package conversation decides whether something is allowed; this package never does.
//
// Everything here is deterministic: no clock except workflow.Now, no I/O, no goroutines except Temporal's. Put a
// change in the order of commands behind workflow.GetVersion: the histories in testdata/histories replay for ever.
package workflows
