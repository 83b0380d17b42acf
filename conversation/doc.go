// Package conversation holds the rules: when a conversation may be transferred, accepted, wrapped
// up, and what happens when nobody takes it.
//
// It is a pure state machine. One serialisable [State] holds everything; [State.Apply] either
// changes it and names the events that happened, or refuses with a coded [Refusal] and changes
// nothing. Nothing else may come in: the standard library and uuid.NewSHA1 only; no clock (the
// caller passes the time), no I/O, no randomness, no Temporal, no map iteration whose order shows.
//
// Where to look:
//   - rules.go: one `decide` per command, each telling when the command is allowed and what it does.
//     The rule "wrapup before accept" is the first check of [Accept].
//   - fallbacks.go: what happens when nobody takes a task, and when a deadline passes.
//   - transitions.go: the table of every legal change of status; the diagrams in docs/architecture.md are generated from it.
//   - facts.go: what a command has to ask the desk before it may be decided.
//   - command.go: the commands and their JSON, which is the contract with services.
package conversation
