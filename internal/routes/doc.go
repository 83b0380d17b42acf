// Package routes keeps TaskRouter workflows, which choose the queue of a new task, and finds the route of a task.
//
// Must not import: routing, people, outbox, Temporal, HTTP.
package routes
