package web

import (
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/desk"
)

const (
	// headerQueue is set when the page's own queue sends a message without leaving the page. Its value is the key
	// of the person who wrote the message ([person.Key]), or "customer". A person who signs in later in the same
	// browser does not send another person's queue.
	headerQueue = "X-Baton-Queue"
	// customersQueue is the value of [headerQueue] for the customer's queue.
	customersQueue = "customer"
	// headerOldest holds the conversation and the number of the oldest message on the page, for example "CH… 201",
	// so that a refresh keeps the messages from there on.
	headerOldest = "X-Baton-Oldest"
)

// queued reports whether the page's queue of messages sent the request.
func (v *visit) queued() bool { return v.r.Header.Get(headerQueue) != "" }

// sentFor refuses a message that another person wrote in this tab.
func (v *visit) sentFor(person string) error {
	if asked := v.r.Header.Get(headerQueue); asked != "" && asked != person {
		return &mistake{http.StatusForbidden, "Another person has signed in since you wrote this: sign in again as yourself, then send it."}
	}
	return nil
}

// delivered responds to the page's queue with the message's SID, as JSON.
func (v *visit) delivered(m desk.Message) error {
	v.w.Header().Set("Content-Type", "application/json")
	v.w.Header().Set("Cache-Control", "no-store")
	return gone(json.NewEncoder(v.w).Encode(map[string]string{"message": m.SID}))
}

// window returns which messages of the conversation the page shows.
func (v *visit) window(sid string) (desk.Window, error) {
	window := desk.Window{Limit: shownMessages}
	if of, number, _ := strings.Cut(v.r.Header.Get(headerOldest), " "); of == sid {
		if from, err := strconv.Atoi(number); err == nil && from > 0 {
			window.From = from
		}
	}
	asked := v.r.URL.Query().Get("before")
	if asked == "" {
		return window, nil
	}
	before, err := strconv.Atoi(asked)
	if err != nil || before < 1 {
		return window, &mistake{http.StatusBadRequest, "The parameter before must be the number of a message, from 1 on: use the link on the page."}
	}
	window.Before = before
	return window, nil
}

// kept returns the query with which another page of the conversation shows the same messages, "" for the newest
// ones.
func kept(t desk.Thread) template.URL {
	if len(t.Messages) <= shownMessages {
		return ""
	}
	return template.URL("?before=" + strconv.Itoa(first(t)+shownMessages)) //nolint:gosec // a number needs no escaping
}

// first returns the number of the oldest message of the thread, 0 for none.
func first(t desk.Thread) int {
	if len(t.Messages) == 0 {
		return 0
	}
	return t.Messages[0].Number
}

// Page and First are used by the link to earlier messages: the page's path and the number of its oldest message.
func (o *openConversation) Page() string {
	page := "/desk/" + o.Conversation.SID
	if o.Directory != nil {
		page += "/transfer"
	}
	return page
}

// First is described at Page.
func (o *openConversation) First() int { return first(o.Thread) }

// Fields returns the names of the fields that the agent can fill in now, separated by spaces. If a field
// disappears, the page's script keeps the text that was typed into it, for copying.
func (o *openConversation) Fields() string {
	var fields []string
	if o.Active != nil {
		fields = append(fields, "text")
		if o.Active.Transfer == nil && o.TransfersOn && o.TransferNotes {
			fields = append(fields, "note", "search")
		}
	}
	if o.Wrapping != nil {
		fields = append(fields, "disposition", "wrapup-note")
	}
	if o.Offer != nil {
		fields = append(fields, "reason")
	}
	return strings.Join(fields, " ")
}

// Page and First are used by the link to earlier messages: the page's path and the number of its oldest message.
func (c chat) Page() string { return "/chat" }

// First is described at Page.
func (c chat) First() int { return first(*c.Thread) }

// Page and First are used by the link to earlier messages: the page's path and the number of its oldest message.
func (p conversationPage) Page() string { return "/conversations/" + p.Conversation.SID }

// First is described at Page.
func (p conversationPage) First() int { return first(p.Thread) }
