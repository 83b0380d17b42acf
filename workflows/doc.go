// Package workflows makes the rules of conversation/ durable: one Temporal workflow per conversation.
//
// It decides first and tells the desk after. One loop (loop.go) takes signals, updates and due
// deadlines in order of arrival (inbox.go) and applies them; a second coroutine (projector.go) keeps
// the desk up to date; visible.go is what people see in the Temporal Web UI; contract.go has the
// names services use. Whether something is allowed is decided in conversation/, never here.
//
// Everything here is deterministic: no clock but workflow.Now, no I/O, no goroutines but Temporal's.
// A change in the order of commands goes behind workflow.GetVersion; the histories in
// testdata/histories replay for ever.
package workflows
