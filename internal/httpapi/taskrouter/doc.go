// Package taskrouter serves the part of Twilio's TaskRouter API that messaging transfers use: the workspace with its
// activities, channels and workflows, workers, task queues, tasks, reservations, events and statistics.
//
// Must not import: the other products.
package taskrouter
