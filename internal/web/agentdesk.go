package web

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

const (
	// shownMessages is how many of the newest messages a page shows.
	shownMessages = 200
	// listed is the maximum number of queues, and of agents, in one directory listing.
	listed = 20
)

func (s *Site) deskRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "/desk", access: agents, handle: (*visit).showDesk},
		{method: http.MethodGet, path: "/desk/stream", access: agents, handle: (*visit).streamDesk, stream: true},
		{method: http.MethodPost, path: "/desk/status", access: agents, handle: (*visit).setStatus},
		{method: http.MethodGet, path: "/desk/{sid}", access: agents, handle: (*visit).showDesk},
		{method: http.MethodGet, path: "/desk/{sid}/transfer", access: agents, handle: (*visit).showDesk},
		{method: http.MethodPost, path: "/desk/{sid}/transfer", access: agents, handle: (*visit).transfer},
		{method: http.MethodPost, path: "/desk/{sid}/say", access: agents, handle: (*visit).say},
		{method: http.MethodPost, path: "/desk/{sid}/accept", access: agents, handle: (*visit).accept},
		{method: http.MethodPost, path: "/desk/{sid}/decline", access: agents, handle: (*visit).decline},
		{method: http.MethodPost, path: "/desk/{sid}/end", access: agents, handle: (*visit).end},
		{method: http.MethodPost, path: "/desk/{sid}/wrapup", access: agents, handle: (*visit).wrapUp},
		{method: http.MethodPost, path: "/desk/{sid}/cancel", access: agents, handle: (*visit).takeBack},
	}
}

// agentDesk is the data of the page /desk.
type agentDesk struct {
	Work []desk.Work
	// Passed are conversations that the agent has transferred and wrapped up, and that no agent has accepted yet.
	Passed []desk.PassedOn
	// Handovers describes the active transfers of Work and Passed, by transfer SID.
	Handovers map[string]handover
	// Presences are the values that the agent can choose from.
	Presences []desk.Presence
	// Open is the open conversation, nil for none.
	Open *openConversation
}

// openConversation is a conversation on an agent's desk and the actions that the agent has there.
type openConversation struct {
	desk.Thread
	// Kept is the query with which the transfer panel shows the same messages, "" for the newest messages.
	Kept  template.URL
	Lines []line
	// Reader is the agent's name.
	Reader string
	// Handovers is described at agentDesk.
	Handovers map[string]handover
	// Offer, Active and Wrapping are the agent's reserved, assigned and wrapping tasks in the conversation, nil for
	// none.
	Offer, Active, Wrapping *desk.Work
	// Attributes are those of the newest task.
	Attributes conversation.Attributes
	// TransfersOn and TransferNotes are the administrator's switches.
	TransfersOn, TransferNotes bool
	// Directory lists the possible targets of a transfer, nil while the transfer panel is closed.
	Directory *directory
	Form      form
}

// form holds the typed values, so that a refused form is shown with them.
type form struct {
	Text, To, Note, Search, Disposition, WrapupNote, Reason string
	// About names the form that was refused, Refused is the reason.
	About, Refused string
}

// directory lists the possible targets of a transfer.
type directory struct {
	Queues, Agents []choice
	More           bool
}

// choice is a queue or an agent of the directory.
type choice struct {
	// Value is what the form sends: queue:billing, agent:bob.
	Value, Name, About string
	// Hint says what happens after the choice, or why the choice is disabled.
	Hint     string
	Disabled bool
}

func (v *visit) showDesk() error { return v.desktop(http.StatusOK, "", form{}) }

// desktop responds with the agent's desk. refused is the reason why a form was refused, "" for none; typed is its
// content.
func (v *visit) desktop(status int, refused string, typed form) error {
	work, err := v.desk.Workload(v.ctx, v.person.Name)
	if err != nil {
		return err
	}
	body := agentDesk{Work: work, Presences: []desk.Presence{desk.PresenceAvailable, desk.PresenceBreak, desk.PresenceOffline}}
	if body.Passed, err = v.desk.PassedOn(v.ctx, v.person.Name); err != nil {
		return err
	}
	if body.Handovers, err = v.handovers(work, body.Passed); err != nil {
		return err
	}
	p := page{Title: "Desk", Section: "desk", Refused: refused, Body: &body}
	if sid := v.r.PathValue("sid"); sid != "" {
		typed.Refused = refused
		if body.Open, err = v.open(sid, work, typed); err != nil {
			return v.notMineAnyMore(status, sid, refused, err)
		}
		body.Open.Handovers = body.Handovers
		p.Refused = "" // it is shown in the conversation
	}
	if unread := unreadOf(work); unread > 0 {
		p.Title = "(" + plural(unread, "new", "new") + ") Desk"
	}
	return v.render(status, "desk", p)
}

// notMineAnyMore responds with the desk alone if err says that the conversation is not on it any more, and returns
// every other error. A supervisor who opens the conversation's address is redirected to the supervisor's view.
func (v *visit) notMineAnyMore(status int, sid, refused string, err error) error {
	if conversation.CodeOf(err) != conversation.CodeNotYourTask || !conversation.IsSID(conversation.PrefixConversation, sid) {
		return err
	}
	said, lost := v.confirmed()
	if lost != nil {
		return lost
	}
	v.said = said
	if v.person.Supervises() && v.said == "" && refused == "" && v.r.Header.Get(headerHTMX) == "" {
		return v.back("/conversations/"+url.PathEscape(sid), "")
	}
	if v.said == "" && refused == "" {
		refused = "This conversation is not on your desk any more."
	}
	v.r.SetPathValue("sid", "")
	v.w.Header().Set(headerReplaceURL, "/desk")
	return v.desktop(status, refused, form{})
}

func unreadOf(work []desk.Work) (count int) {
	for _, w := range work {
		count += w.Unread
		if w.Task.Status == conversation.TaskReserved {
			count++
		}
	}
	return count
}

// open reads the open conversation and marks its messages as read by the agent.
func (v *visit) open(sid string, work []desk.Work, typed form) (*openConversation, error) {
	window, err := v.window(sid)
	if err != nil {
		return nil, err
	}
	thread, err := v.desk.ThreadWindow(v.ctx, sid, desk.AsAgent(v.person.Name), window)
	if err != nil {
		return nil, err
	}
	settings, err := v.desk.Settings(v.ctx)
	if err != nil {
		return nil, err
	}
	o := &openConversation{
		Thread: thread, Kept: kept(thread), Lines: forAgents(thread, v.person.Name), Reader: v.person.Name, TransfersOn: settings.MessagingTransfers, TransferNotes: settings.TransferNotes, Form: typed,
	}
	for i := range work {
		w := &work[i]
		if w.Conversation.SID != sid {
			continue
		}
		switch w.Task.Status {
		case conversation.TaskReserved:
			o.Offer = w
		case conversation.TaskAssigned:
			o.Active = w
		case conversation.TaskWrapping:
			o.Wrapping = w
		case conversation.TaskPending, conversation.TaskCompleted, conversation.TaskCanceled: // not on the agent's desk
		}
		if err := v.see(w, thread); err != nil {
			return nil, err
		}
	}
	if o.Offer == nil && o.Active == nil && o.Wrapping == nil {
		return nil, conversation.Refuse(conversation.CodeNotYourTask, conversation.Details{}, "this conversation is not on your desk any more")
	}
	if last := len(thread.Tasks); last > 0 {
		o.Attributes = thread.Tasks[last-1].Attributes
	}
	if strings.HasSuffix(v.r.URL.Path, "/transfer") && o.Active != nil && o.Active.Transfer == nil {
		if v.r.Method == http.MethodGet {
			o.Form.Search, o.Form.To = v.r.FormValue("search"), v.r.FormValue("to")
		}
		if o.Directory, err = v.directory(sid, o.Form.Search); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// see marks the conversation's messages as read by the agent, unless the browser tab is in the background.
func (v *visit) see(w *desk.Work, thread desk.Thread) error {
	if w.Unread == 0 || v.r.Header.Get(headerHidden) != "" || len(thread.Messages) == 0 {
		return nil
	}
	w.Unread = 0
	return v.desk.MarkRead(v.ctx, thread.Conversation.SID, v.person.Name, thread.Messages[len(thread.Messages)-1].Number)
}

func (v *visit) directory(sid, search string) (*directory, error) {
	found, err := v.desk.Directory(v.ctx, desk.DirectoryQuery{Conversation: sid, Agent: v.person.Name, Search: search, Limit: listed})
	if err != nil {
		return nil, err
	}
	d := &directory{More: found.More}
	for _, q := range found.Queues {
		c := choice{Value: "queue:" + q.Name, Name: q.Choice, About: plural(q.Available, "agent available", "agents available") + ", " + plural(q.Waiting, "waiting", "waiting")}
		switch {
		case q.Members == 0:
			c.Disabled, c.Hint = true, "no agents on this queue"
		case q.Available == 0:
			c.Hint = "no agent is available: the transfer waits"
		}
		d.Queues = append(d.Queues, c)
	}
	for _, a := range found.Agents {
		c := choice{Value: "agent:" + a.Name, Name: a.Choice, About: string(a.Presence) + ", " + plural(a.Load, "task", "tasks")}
		if a.Presence != desk.PresenceAvailable {
			c.About = plural(a.Load, "task", "tasks")
			c.Disabled, c.Hint = absent(found.Settings.AgentUnavailable, a.Presence)
		}
		d.Agents = append(d.Agents, c)
	}
	return d, nil
}

// absent reports whether a transfer to an unavailable agent is disabled by the setting, and returns the hint to
// show.
func absent(setting conversation.AgentUnavailablePolicy, presence desk.Presence) (disabled bool, hint string) {
	where := "offline"
	if presence == desk.PresenceBreak {
		where = "on a break"
	}
	switch setting {
	case conversation.AgentUnavailableWait:
		return false, where + ": it waits until they are back"
	case conversation.AgentUnavailableOriginQueue:
		return false, where + ": it goes to your queue"
	case conversation.AgentUnavailableRefuse:
	}
	return true, where
}

// streamDesk streams changes of everything that the agent's desk shows.
func (v *visit) streamDesk() error {
	w := v.live.watch(v.person.Name, false)
	return v.stream(v.person.Name, w, func() (map[string]bool, error) {
		ctx, cancel := context.WithTimeout(v.ctx, patience)
		defer cancel()
		work, err := v.desk.Workload(ctx, v.person.Name)
		if err != nil {
			return nil, err
		}
		passed, err := v.desk.PassedOn(ctx, v.person.Name)
		shown := map[string]bool{}
		for _, one := range passed { // the agent may not read the messages that follow
			shown[one.Conversation.SID] = false
		}
		for _, one := range work {
			switch {
			case one.Task.Status != conversation.TaskWrapping:
				shown[one.Conversation.SID] = true
			case one.Transfer != nil: // the agent may see the transfer's outcome, but not what follows it
				if _, known := shown[one.Conversation.SID]; !known {
					shown[one.Conversation.SID] = false
				}
			}
		}
		return shown, err
	})
}

func (v *visit) setStatus() error {
	if err := v.desk.SetPresence(v.ctx, v.person.Name, desk.Presence(v.r.PostFormValue("presence"))); err != nil {
		return v.deskAfter("", err, form{})
	}
	return v.back(v.conversationPage(v.r.PostFormValue("conversation")), "")
}

// deskAfter responds to a form: with a redirect to the conversation's page, or with the same page, the refusal and
// the typed values.
func (v *visit) deskAfter(said string, err error, typed form) error {
	if err != nil {
		status, message, other := v.refusedBy(err)
		if other != nil {
			return other
		}
		if conversation.CodeOf(err) == conversation.CodeWrapupPending {
			message = "Finish your wrap-up here, then accept again."
		}
		return v.desktop(status, message, typed)
	}
	return v.back(v.conversationPage(v.r.PathValue("sid")), said)
}

func (v *visit) say() error {
	typed := form{Text: v.text("text"), About: "say"}
	sid := v.r.PathValue("sid")
	if err := v.sentFor(v.person.Key()); err != nil {
		return err
	}
	said, err := v.desk.Say(v.ctx, desk.NewMessage{
		Conversation: sid, From: v.person.Name, Text: typed.Text, ProviderSID: messageID(sid, v.person.Name+v.r.PostFormValue("once"), typed.Text),
	})
	switch {
	case v.queued() && err != nil:
		return err
	case v.queued():
		return v.delivered(said)
	}
	return v.deskAfter("", err, typed)
}

func (v *visit) transfer() error {
	typed := form{To: v.r.PostFormValue("to"), Note: v.text("note"), Search: v.r.PostFormValue("search"), About: "transfer"}
	if v.r.PostFormValue("find") != "" { // without scripts, this button searches and keeps the typed values
		typed.About = ""
		return v.desktop(http.StatusOK, "", typed)
	}
	to, ok := targetOf(typed.To)
	if !ok {
		return v.desktop(http.StatusUnprocessableEntity, "Select an agent or a queue.", typed)
	}
	command := conversation.TransferCommand{From: v.person.Name, To: to, Note: typed.Note, Meta: v.once()}
	_, err := v.send(v.r.PathValue("sid"), command)
	return v.deskAfter("Transferred. Complete your wrap-up when you are ready.", err, typed)
}

// targetOf parses the target that a form sends: queue:billing, agent:bob. ok is false for anything else.
func targetOf(chosen string) (to conversation.Target, ok bool) {
	kind, name, _ := strings.Cut(chosen, ":")
	switch kind {
	case "queue":
		return conversation.Target{Queue: name}, true
	case "agent":
		return conversation.Target{Agent: name}, true
	}
	return conversation.Target{}, false
}

// once returns the command ID from the form, so that a form that is sent twice has one effect.
func (v *visit) once() conversation.Meta {
	return conversation.Meta{CommandID: v.r.PostFormValue("once")}
}

func (v *visit) accept() error {
	sid := v.r.PathValue("sid")
	_, err := v.send(sid, conversation.AcceptCommand{
		Agent: v.person.Name, Task: v.r.PostFormValue("task"), Reservation: v.r.PostFormValue("reservation"), Meta: v.once(),
	})
	return v.deskAfter("", err, form{About: "accept"})
}

func (v *visit) decline() error {
	typed := form{Reason: v.r.PostFormValue("reason"), About: "decline"}
	_, err := v.send(v.r.PathValue("sid"), conversation.DeclineCommand{
		Agent: v.person.Name, Task: v.r.PostFormValue("task"), Reservation: v.r.PostFormValue("reservation"), Reason: typed.Reason, Meta: v.once(),
	})
	return v.deskAfter("Declined.", err, typed)
}

func (v *visit) end() error {
	_, err := v.send(v.r.PathValue("sid"), conversation.EndCommand{Agent: v.person.Name, Task: v.r.PostFormValue("task"), Meta: v.once()})
	return v.deskAfter("Ended. Complete your wrap-up.", err, form{About: "end"})
}

func (v *visit) wrapUp() error {
	typed := form{Disposition: v.r.PostFormValue("disposition"), WrapupNote: v.text("note"), About: "wrapup"}
	outcome, err := v.send(v.r.PathValue("sid"), conversation.WrapupCommand{
		Agent: v.person.Name, Task: v.r.PostFormValue("task"), Disposition: typed.Disposition, Note: typed.WrapupNote, Meta: v.once(),
	})
	if err == nil && outcome.Unchanged && (typed.WrapupNote != "" || typed.Disposition != "") {
		return v.desktop(http.StatusConflict, "This wrap-up was completed before: the outcome and the note sent now were not kept.", typed)
	}
	return v.deskAfter("Wrap-up complete.", err, typed)
}

func (v *visit) takeBack() error {
	transfer := v.r.PostFormValue("transfer")
	_, err := v.send(v.r.PathValue("sid"), conversation.CancelCommand{Agent: v.person.Name, Transfer: transfer, Meta: v.once()})
	if err == nil {
		err = v.dismissOwn(transfer)
	}
	return v.deskAfter("Transfer canceled.", err, form{About: "cancel"})
}

// Beside returns the name of the form beside which the page shows the refusal. It returns "" if that form is no
// longer on the page; the refusal is then shown above everything.
func (o *openConversation) Beside() string {
	switch about := o.Form.About; {
	case about == "say" && o.Active != nil, about == "transfer" && o.Directory != nil, about == "wrapup" && o.Wrapping != nil,
		about == "accept" && o.Wrapping != nil, about == "cancel" && o.Wrapping != nil && o.Wrapping.Transfer != nil:
		return about
	}
	return ""
}

// TransferOf returns the transfer with the SID, nil for none.
func (o *openConversation) TransferOf(sid string) *conversation.Transfer {
	for i := range o.Thread.Transfers {
		if o.Thread.Transfers[i].SID == sid {
			return &o.Thread.Transfers[i]
		}
	}
	return nil
}

// NoteOf returns the text of the note of the transfer with the SID, "" for none.
func (o *openConversation) NoteOf(sid string) string {
	x := o.TransferOf(sid)
	if x == nil || x.Note == "" {
		return ""
	}
	for _, n := range o.Notes {
		if n.SID == x.Note {
			return n.Text
		}
	}
	return ""
}
