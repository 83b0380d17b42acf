// Package tasks has what the resources of Flex, TaskRouter and Conversations do in the same way with a conversation and
// its tasks: they start it, claim a task, end a turn, close it, and show a task in the form of TaskRouter.
//
// Must not contain: routes. Must not import: other packages of the HTTP API than rest.
package tasks
