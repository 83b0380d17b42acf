package web

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/seclog"
)

// perPage is the maximum number of conversations on one page of a list.
const perPage = 50

func (s *Site) conversationRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "/conversations", access: supervisors, handle: (*visit).listConversations},
		{method: http.MethodGet, path: "/conversations/stream", access: supervisors, handle: (*visit).streamConversations, stream: true},
		{method: http.MethodGet, path: "/conversations/{sid}", access: supervisors, handle: (*visit).showConversation},
		{method: http.MethodPost, path: "/conversations/{sid}/move", access: supervisors, handle: (*visit).move},
		{method: http.MethodPost, path: "/conversations/{sid}/close", access: supervisors, handle: (*visit).closeConversation},
	}
}

// conversationsPage is the data of the page /conversations.
type conversationsPage struct {
	Status, Queue, Agent, Order, Search string
	// Queues and Agents are the choices of the filter.
	Queues []desk.Queue
	Agents []desk.Agent
	// Choices are their names.
	Choices desk.Choices
	Found   desk.Matches
	// Refused is set if the search was refused and nothing was searched.
	Refused bool
	// Earlier and Later are the addresses of the previous and next pages in time, "" for none.
	Earlier, Later string
}

// waitingLongest is the list order that puts the longest-waiting conversations first.
const waitingLongest = "waiting"

func (v *visit) listConversations() error {
	query := v.r.URL.Query()
	body := conversationsPage{
		Status: query.Get("status"), Queue: query.Get("queue"), Agent: query.Get("agent"), Order: query.Get("order"),
		Search: strings.TrimSpace(query.Get("search")),
	}
	filter := desk.Filter{
		Status: conversation.ConversationStatus(body.Status), Queue: body.Queue, Agent: body.Agent, WaitingLongest: body.Order == waitingLongest,
	}
	wanted := desk.Page{Limit: perPage, After: cursorIn(query.Get("before"))}
	if wanted.After == nil {
		wanted.Before = cursorIn(query.Get("after"))
	}
	status, refused := http.StatusOK, ""
	if !slices.Contains([]conversation.ConversationStatus{"", conversation.ConversationActive, conversation.ConversationWrapping, conversation.ConversationClosed}, filter.Status) {
		body.Refused, status, refused = true, http.StatusUnprocessableEntity, "There is no status "+isolated(body.Status)+": choose another one."
		return v.conversationList(status, refused, body)
	}
	found, err := v.desk.ConversationPage(v.ctx, filter, body.Search, wanted)
	if err != nil {
		if status, refused, err = v.refusedBy(err); err != nil {
			return err
		}
		body.Refused = true
	} else if body.Search != "" {
		v.security.Write(v.ctx, seclog.Entry{Event: seclog.Search, Subject: "conversations"})
	}
	body.Found = found
	// A search that stopped at its limit continues from there on the next page, even if it found nothing.
	if found.More && (len(found.Entries) > 0 || found.Bounded && wanted.Before == nil) {
		body.Earlier = aroundConversations(query, "before", found.Last)
	}
	if found.Earlier && (len(found.Entries) > 0 || found.Bounded && wanted.Before != nil) {
		body.Later = aroundConversations(query, "after", found.First)
	}
	return v.conversationList(status, refused, body)
}

// conversationList responds with the list and the choices of its filter.
func (v *visit) conversationList(status int, refused string, body conversationsPage) (err error) {
	if body.Queues, err = v.desk.Queues(v.ctx); err != nil {
		return err
	}
	if body.Agents, err = v.desk.Agents(v.ctx); err != nil {
		return err
	}
	// A link may name a queue or an agent that was removed.
	if body.Queue != "" && !slices.ContainsFunc(body.Queues, func(q desk.Queue) bool { return q.Name == body.Queue }) {
		body.Queues = append(body.Queues, desk.Queue{Name: body.Queue})
	}
	if body.Agent != "" && !slices.ContainsFunc(body.Agents, func(a desk.Agent) bool { return a.Name == body.Agent }) {
		body.Agents = append(body.Agents, desk.Agent{Name: body.Agent})
	}
	if body.Choices, err = v.desk.Choices(v.ctx); err != nil {
		return err
	}
	return v.render(status, "conversations", page{Title: "Conversations", Section: "conversations", Refused: refused, Body: body})
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
func (p conversationsPage) Author(e desk.Excerpt) string {
	switch e.From {
	case desk.FromCustomer:
		return "Customer"
	case desk.FromSystem:
		return "System"
	}
	return p.Holder(conversation.Task{Agent: e.From})
}

// waitingTask returns the conversation's waiting task, nil for none.
func waitingTask(c desk.Conversation) *conversation.Task {
	for i := range c.Live {
		if c.Live[i].Status.Waiting() {
			return &c.Live[i]
		}
	}
	return nil
}

// Waiting is described at waitingTask.
func (conversationsPage) Waiting(c desk.Conversation) *conversation.Task { return waitingTask(c) }

// Holder returns the display name of the task's agent, or of its queue while it has no agent.
func (p conversationsPage) Holder(t conversation.Task) string {
	if t.Agent != "" {
		return p.Choices.Agent(t.Agent)
	}
	return p.Choices.Queue(t.Queue)
}

// Last returns the names of the last agent and the last queue of a closed conversation, "" for others.
func (p conversationsPage) Last(c desk.Conversation) string {
	var names []string
	if c.LastAgent != "" {
		names = append(names, isolated(p.Holder(conversation.Task{Agent: c.LastAgent})))
	}
	if c.LastQueue != "" {
		names = append(names, isolated(p.Holder(conversation.Task{Queue: c.LastQueue})))
	}
	return strings.Join(names, " · ")
}

// conversationPage is the data of the page /conversations/{sid}.
type conversationPage struct {
	desk.Thread
	Lines    []line
	Timeline []happening
	// Waits is the conversation's waiting task, nil for none.
	Waits  *conversation.Task
	Queues []desk.Queue
	Agents []desk.Agent
	// Choices are their names.
	Choices desk.Choices
	// Reason is the typed reason of a close that was refused.
	Reason string
	// Temporal is the address of the conversation in the Temporal Web UI, "" if it is not configured.
	Temporal string
}

func (v *visit) showConversation() error { return v.conversation(http.StatusOK, "") }

func (v *visit) conversation(status int, refused string) error {
	sid := v.r.PathValue("sid")
	window, err := v.window(sid)
	if err != nil {
		return err
	}
	thread, err := v.desk.ThreadWindow(v.ctx, sid, desk.AsAgent(v.person.Name), window)
	if errors.Is(err, desk.ErrUnknownConversation) {
		return notFound("The desk has no record of this conversation: check its SID, or try again in a moment if it has just begun.")
	}
	if err != nil {
		return err
	}
	body := conversationPage{
		Thread: thread, Lines: forAgents(thread, v.person.Name), Timeline: timeline(thread), Waits: waitingTask(thread.Conversation),
		Reason: v.r.PostFormValue("reason"),
	}
	if body.Waits != nil {
		if body.Queues, err = v.desk.Queues(v.ctx); err != nil {
			return err
		}
		if body.Agents, err = v.desk.Agents(v.ctx); err != nil {
			return err
		}
		if body.Choices, err = v.desk.Choices(v.ctx); err != nil {
			return err
		}
	}
	if v.options.TemporalUI != "" {
		body.Temporal = v.options.TemporalUI + url.PathEscape("conversation/"+sid)
	}
	return v.render(status, "conversation", page{Title: "Conversation", Section: "conversations", Refused: refused, Body: body})
}

func (v *visit) streamConversations() error {
	if sid := v.r.URL.Query().Get("conversation"); sid != "" {
		return v.stream(v.person.Name, v.live.watch("", false, sid), nil)
	}
	return v.stream(v.person.Name, v.live.watch("", true), nil)
}

func (v *visit) move() error {
	to, ok := targetOf(v.r.PostFormValue("to"))
	if !ok {
		return v.conversation(http.StatusUnprocessableEntity, "Choose where to move the conversation to.")
	}
	return v.supervised("Moved.", "It was there already: nothing was moved.", conversation.MoveCommand{Task: v.r.PostFormValue("task"), To: to, Meta: v.bySupervisor()})
}

func (v *visit) closeConversation() error {
	return v.supervised("Closed.", "The customer's side was over already: nothing was changed.", conversation.CloseCommand{Reason: v.r.PostFormValue("reason"), Meta: v.bySupervisor()})
}

func (v *visit) bySupervisor() conversation.Meta {
	meta := v.once()
	meta.By = v.person.Name
	return meta
}

// supervised sends a supervisor's command and responds with the conversation's page. The page shows said, or before
// if another command had the same effect earlier.
func (v *visit) supervised(said, before string, command conversation.Command) error {
	sid := v.r.PathValue("sid")
	outcome, err := v.send(sid, command)
	if err != nil {
		status, message, other := v.refusedBy(err)
		if other != nil {
			return other
		}
		return v.conversation(status, message)
	}
	if outcome.Unchanged {
		said = before
	}
	return v.back("/conversations/"+url.PathEscape(sid), said)
}
