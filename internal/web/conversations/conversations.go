// Package conversations serves the supervisor's list and view of conversations.
package conversations

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/web/site"
	"github.com/baton-transfers/baton/internal/web/words"
)

// Routes returns the routes of the supervisor's list and view of conversations.
func Routes() []site.Route {
	return []site.Route{
		{Method: http.MethodGet, Path: "/conversations", Access: site.Supervisors, Handle: listConversations},
		{Method: http.MethodGet, Path: "/conversations/stream", Access: site.Supervisors, Handle: streamConversations, Stream: true},
		{Method: http.MethodGet, Path: "/conversations/{sid}", Access: site.Supervisors, Handle: showConversation},
		{Method: http.MethodPost, Path: "/conversations/{sid}/move", Access: site.Supervisors, Handle: move},
		{Method: http.MethodPost, Path: "/conversations/{sid}/close", Access: site.Supervisors, Handle: closeConversation},
	}
}

// conversationsPage is the data of the page /conversations.
type conversationsPage struct {
	Status, Queue, Agent, Order, Search string
	// Queues and Agents are the choices of the filter.
	Queues []people.Queue
	Agents []people.Agent
	// Choices are their names.
	Choices people.Choices
	Found   records.Matches
	// Refused is set if the search was refused and nothing was searched.
	Refused bool
	// Earlier and Later are the addresses of the previous and next pages in time, "" for none.
	Earlier, Later string
}

// waitingLongest is the list order that puts the longest-waiting conversations first.
const waitingLongest = "waiting"

func listConversations(v *site.Visit) error {
	query := v.R.URL.Query()
	body := conversationsPage{
		Status: query.Get("status"), Queue: query.Get("queue"), Agent: query.Get("agent"), Order: query.Get("order"),
		Search: strings.TrimSpace(query.Get("search")),
	}
	filter := records.Filter{
		Status: conversation.ConversationStatus(body.Status), Queue: body.Queue, Agent: body.Agent, WaitingLongest: body.Order == waitingLongest,
	}
	wanted := site.PageOf(query)
	status, refused := http.StatusOK, ""
	if !slices.Contains([]conversation.ConversationStatus{"", conversation.ConversationActive, conversation.ConversationWrapping, conversation.ConversationClosed}, filter.Status) {
		body.Refused, status, refused = true, http.StatusUnprocessableEntity, "There is no status "+words.Isolated(body.Status)+": choose another one."
		return respondList(v, status, refused, body)
	}
	found, err := records.ConversationPage(v.Ctx, v.Desk, filter, body.Search, wanted)
	if err != nil {
		if status, refused, err = v.RefusedBy(err); err != nil {
			return err
		}
		body.Refused = true
	} else if body.Search != "" {
		v.Security.Write(v.Ctx, seclog.Entry{Event: seclog.Search, Subject: "conversations"})
	}
	body.Found = found
	// A search that stopped at its limit continues from there on the next page, even if it found nothing.
	if found.More && (len(found.Entries) > 0 || found.Bounded && wanted.Before == nil) {
		body.Earlier = aroundConversations(query, "before", found.Last)
	}
	if found.Earlier && (len(found.Entries) > 0 || found.Bounded && wanted.Before != nil) {
		body.Later = aroundConversations(query, "after", found.First)
	}
	return respondList(v, status, refused, body)
}

// respondList responds with the list and the choices of its filter.
func respondList(v *site.Visit, status int, refused string, body conversationsPage) (err error) {
	if body.Queues, err = people.ListQueues(v.Ctx, v.Desk); err != nil {
		return err
	}
	if body.Agents, err = people.ListAgents(v.Ctx, v.Desk); err != nil {
		return err
	}
	// A link may name a queue or an agent that was removed.
	if body.Queue != "" && !slices.ContainsFunc(body.Queues, func(q people.Queue) bool { return q.Name == body.Queue }) {
		body.Queues = append(body.Queues, people.Queue{Name: body.Queue})
	}
	if body.Agent != "" && !slices.ContainsFunc(body.Agents, func(a people.Agent) bool { return a.Name == body.Agent }) {
		body.Agents = append(body.Agents, people.Agent{Name: body.Agent})
	}
	if body.Choices, err = people.ReadChoices(v.Ctx, v.Desk); err != nil {
		return err
	}
	return v.Render(status, "conversations", site.Page{Title: "Conversations", Section: "conversations", Refused: refused, Body: body})
}

// aroundConversations returns the address of the page before or after a place in the list.
func aroundConversations(query url.Values, side string, at desk.Cursor) string {
	query = maps.Clone(query)
	query.Del("before")
	query.Del("after")
	query.Set(side, strconv.FormatInt(at.Key, 10)+"-"+at.SID)
	return "/conversations?" + query.Encode()
}

// Filtered reports whether the list is filtered or reordered. A search alone does not count.
func (p conversationsPage) Filtered() bool {
	return p.Status != "" || p.Queue != "" || p.Agent != "" || p.Order == waitingLongest
}

// Newest reports whether the list is in the order in which the conversations began, newest first.
func (p conversationsPage) Newest() bool { return p.Order != waitingLongest }

// Author returns the display name of the author of the message that a search found.
func (p conversationsPage) Author(e records.Excerpt) string {
	switch e.From {
	case records.FromCustomer:
		return "Customer"
	case records.FromSystem:
		return "System"
	}
	return p.Holder(conversation.Task{Agent: e.From})
}

// waitingTask returns the conversation's waiting task, nil for none.
func waitingTask(c records.Conversation) *conversation.Task {
	for i := range c.Live {
		if c.Live[i].Status.Waiting() {
			return &c.Live[i]
		}
	}
	return nil
}

// Waiting is described at waitingTask.
func (conversationsPage) Waiting(c records.Conversation) *conversation.Task { return waitingTask(c) }

// Holder returns the display name of the task's agent, or of its queue while it has no agent.
func (p conversationsPage) Holder(t conversation.Task) string {
	if t.Agent != "" {
		return p.Choices.Agent(t.Agent)
	}
	return p.Choices.Queue(t.Queue)
}

// Last returns the names of the last agent and the last queue of a closed conversation, "" for others.
func (p conversationsPage) Last(c records.Conversation) string {
	var names []string
	if c.LastAgent != "" {
		names = append(names, words.Isolated(p.Holder(conversation.Task{Agent: c.LastAgent})))
	}
	if c.LastQueue != "" {
		names = append(names, words.Isolated(p.Holder(conversation.Task{Queue: c.LastQueue})))
	}
	return strings.Join(names, " · ")
}

// conversationPage is the data of the page /conversations/{sid}.
type conversationPage struct {
	records.Thread
	Lines    []words.Line
	Timeline []words.Happening
	// Waits is the conversation's waiting task, nil for none.
	Waits  *conversation.Task
	Queues []people.Queue
	Agents []people.Agent
	// Choices are their names.
	Choices people.Choices
	// Reason is the typed reason of a close that was refused.
	Reason string
	// Temporal is the address of the conversation in the Temporal Web UI, "" if it is not configured.
	Temporal string
}

func showConversation(v *site.Visit) error { return respondConversation(v, http.StatusOK, "") }

func respondConversation(v *site.Visit, status int, refused string) error {
	sid := v.R.PathValue("sid")
	window, err := v.Window(sid)
	if err != nil {
		return err
	}
	thread, err := records.ReadThread(v.Ctx, v.Desk, sid, records.AsAgent(v.Person.Name), window)
	if errors.Is(err, records.ErrUnknownConversation) {
		return site.NotFound("The desk has no record of this conversation: check its SID, or try again in a moment if it has just begun.")
	}
	if err != nil {
		return err
	}
	body := conversationPage{
		Thread: thread, Lines: words.ForAgents(thread, v.Person.Name), Timeline: words.Timeline(thread), Waits: waitingTask(thread.Conversation),
		Reason: v.R.PostFormValue("reason"),
	}
	if body.Waits != nil {
		if body.Queues, err = people.ListQueues(v.Ctx, v.Desk); err != nil {
			return err
		}
		if body.Agents, err = people.ListAgents(v.Ctx, v.Desk); err != nil {
			return err
		}
		if body.Choices, err = people.ReadChoices(v.Ctx, v.Desk); err != nil {
			return err
		}
	}
	if v.Options.TemporalUI != "" {
		body.Temporal = v.Options.TemporalUI + url.PathEscape("conversation/"+sid)
	}
	return v.Render(status, "conversation", site.Page{Title: "Conversation", Section: "conversations", Refused: refused, Body: body})
}

func streamConversations(v *site.Visit) error {
	if sid := v.R.URL.Query().Get("conversation"); sid != "" {
		return v.Stream(v.Person.Name, v.Live.Watch("", false, sid), nil)
	}
	return v.Stream(v.Person.Name, v.Live.Watch("", true), nil)
}

func move(v *site.Visit) error {
	to, ok := site.TargetOf(v.R.PostFormValue("to"))
	if !ok {
		return respondConversation(v, http.StatusUnprocessableEntity, "Choose where to move the conversation to.")
	}
	return supervised(v, "Moved.", "It was there already: nothing was moved.", conversation.MoveCommand{Task: v.R.PostFormValue("task"), To: to, Meta: bySupervisor(v)})
}

func closeConversation(v *site.Visit) error {
	return supervised(v, "Closed.", "The customer's side was over already: nothing was changed.", conversation.CloseCommand{Reason: v.R.PostFormValue("reason"), Meta: bySupervisor(v)})
}

func bySupervisor(v *site.Visit) conversation.Meta {
	meta := v.Once()
	meta.By = v.Person.Name
	return meta
}

// supervised sends a supervisor's command and responds with the conversation's page. The page shows said, or before
// if another command had the same effect earlier.
func supervised(v *site.Visit, said, before string, command conversation.Command) error {
	sid := v.R.PathValue("sid")
	outcome, err := v.Send(sid, command)
	if err != nil {
		status, message, other := v.RefusedBy(err)
		if other != nil {
			return other
		}
		return respondConversation(v, status, message)
	}
	if outcome.Unchanged {
		said = before
	}
	return v.Back("/conversations/"+url.PathEscape(sid), said)
}

// Page and First are used by the link to earlier messages: the page's path and the number of its oldest message.
func (p conversationPage) Page() string { return "/conversations/" + p.Conversation.SID }

// First is described at Page.
func (p conversationPage) First() int { return site.First(p.Thread) }
