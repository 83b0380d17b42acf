// Package workflows makes the rules of package conversation durable: one Temporal workflow per conversation.
//
// The workflow decides first and syncs the desk afterwards. One loop (loop.go) takes signals, updates and due
// deadlines in order of arrival (inbox.go) and applies them. A second coroutine (projector.go) sends the desk
// snapshots. Package conversation decides whether something is allowed; this package never does.
//
// Where else to look: contract.go has the names that services use, visible.go what operators see in the Temporal Web
// UI, ending.go when a run ends or continues as a new one, sealed.go the signals whose key is missing.
//
// Must not import: the desk, Temporal's client.
//
// Everything here is deterministic: no clock except workflow.Now, no I/O, no goroutines except Temporal's. Put a
// change in the order of commands behind workflow.GetVersion: the histories in testdata/histories replay for ever.
package workflows
