// Package conversation holds the rules of a conversation: when it may be transferred, accepted and wrapped up, and
// what happens when no agent takes it.
//
// The package is a pure state machine. One serializable [State] holds all data. [State.Apply] either changes the
// state and returns the events that happened, or refuses with a coded [Refusal] and changes nothing. It uses no clock
// (the caller passes the time), I/O, randomness, or map iteration whose order is visible in the result. Must not
// import: anything but the standard library and uuid, of which it uses NewSHA1.
//
// Where to look:
//   - rules.go: one `decide` per command, which says when the command is allowed and what it does.
//     The rule "wrapup before accept" is checked in the decide of [AcceptCommand].
//   - lookup.go: which task a command is about, and the refusals that several commands share.
//   - fallbacks.go: what happens when no agent takes a task, and when a deadline passes.
//   - transitions.go: the table of every legal change of status. The diagrams in docs/architecture.md are generated
//     from it.
//   - facts.go: what a command has to ask the desk before it can be decided.
//   - command.go: the commands and their JSON, which is the contract with services.
package conversation
