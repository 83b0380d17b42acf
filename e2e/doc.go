// Package e2e contains the tests that use real servers and processes: the Temporal dev server on a database file,
// workers that are killed and restarted, the desk's file, the command line, the `temporal` CLI, and the pages in a
// real browser (browser_test.go). After each test, the desk, the events and the conversations must agree exactly
// (agree_test.go).
//
// A rule that can be tested without a process is tested in its own package. Must not contain: mocks, sleeps, and
// code that other packages import.
package e2e
