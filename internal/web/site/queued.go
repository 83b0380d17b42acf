package site

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/internal/records"
)

const (
	// headerQueue is set when the page's own queue sends a message without leaving the page. Its value is the key
	// of the person who wrote the message ([Person.Key]), or "customer". A person who signs in later in the same
	// browser does not send another person's queue.
	headerQueue = "X-Baton-Queue"
	// CustomersQueue is the value of [headerQueue] for the customer's queue.
	CustomersQueue = "customer"
	// headerOldest holds the conversation and the number of the oldest message on the page, for example "CH… 201",
	// so that a refresh keeps the messages from there on.
	headerOldest = "X-Baton-Oldest"
	// ShownMessages is how many of the newest messages a page shows.
	ShownMessages = 200
)

// Queued reports whether the page's queue of messages sent the request.
func (v *Visit) Queued() bool { return v.R.Header.Get(headerQueue) != "" }

// SentFor refuses a message that another person wrote in this tab.
func (v *Visit) SentFor(person string) error {
	if asked := v.R.Header.Get(headerQueue); asked != "" && asked != person {
		return Mistake(http.StatusForbidden, "Another person has signed in since you wrote this: sign in again as yourself, then send it.")
	}
	return nil
}

// Delivered responds to the page's queue with the message's SID, as JSON.
func Delivered(v *Visit, m records.Message) error {
	v.W.Header().Set("Content-Type", "application/json")
	v.W.Header().Set("Cache-Control", "no-store")
	return Gone(json.NewEncoder(v.W).Encode(map[string]string{"message": m.SID}))
}

// Window returns which messages of the conversation the page shows.
func (v *Visit) Window(sid string) (records.Window, error) {
	window := records.Window{Limit: ShownMessages}
	if of, number, _ := strings.Cut(v.R.Header.Get(headerOldest), " "); of == sid {
		if from, err := strconv.Atoi(number); err == nil && from > 0 {
			window.From = from
		}
	}
	asked := v.R.URL.Query().Get("before")
	if asked == "" {
		return window, nil
	}
	before, err := strconv.Atoi(asked)
	if err != nil || before < 1 {
		return window, Mistake(http.StatusBadRequest, "The parameter before must be the number of a message, from 1 on: use the link on the page.")
	}
	window.Before = before
	return window, nil
}

// First returns the number of the oldest message of the thread, 0 for none.
func First(t records.Thread) int {
	if len(t.Messages) == 0 {
		return 0
	}
	return t.Messages[0].Number
}
