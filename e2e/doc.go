// Package e2e holds the tests over real servers and processes: the Temporal dev server on a database
// file, workers that are killed and started again, the desk's file, the command line, the
// `temporal` CLI, and the pages in a real browser (browser_test.go). After each, desk, events and
// conversations have to agree exactly (agree_test.go).
//
// A rule that can be tested without a process is tested where it stands, not here. What may not come
// in: mocks, sleeps, and anything that other code would import.
package e2e
