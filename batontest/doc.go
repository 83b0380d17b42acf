// Package batontest tests Go programs that use Baton, without a Temporal server.
//
// [Replay] replays recorded histories of conversations, which shows whether a new version of Baton can continue the
// conversations that run. [NewDesk] returns Baton's desk on a temporary database, and an [Engine] that runs
// conversations on it in memory by Baton's rules. A service that declares an interface of the methods of [baton.Client]
// that it calls can be tested with the engine in the client's place.
//
// The rules and the desk are the real ones. The engine does not replace a test with a real server: see its
// documentation for what it leaves out.
//
// Must not be imported by packages other than tests.
package batontest
