// Package agentdesk serves the agent's desk: the agent's conversations, the actions on them, and the notices about the
// agent's transfers.
package agentdesk

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/web/site"
	"github.com/baton-transfers/baton/internal/web/words"
)

// listed is the maximum number of queues, and of agents, in one directory listing.
const listed = 20

// Routes returns the routes of the agent's desk, with the notices that every agent's page shows.
func Routes() []site.Route {
	return []site.Route{
		{Method: http.MethodGet, Path: "/desk", Access: site.Agents, Handle: showDesk},
		{Method: http.MethodGet, Path: "/desk/stream", Access: site.Agents, Handle: streamDesk, Stream: true},
		{Method: http.MethodPost, Path: "/desk/status", Access: site.Agents, Handle: setStatus},
		{Method: http.MethodGet, Path: "/desk/{sid}", Access: site.Agents, Handle: showDesk},
		{Method: http.MethodGet, Path: "/desk/{sid}/transfer", Access: site.Agents, Handle: showDesk},
		{Method: http.MethodPost, Path: "/desk/{sid}/transfer", Access: site.Agents, Handle: transfer},
		{Method: http.MethodPost, Path: "/desk/{sid}/say", Access: site.Agents, Handle: say},
		{Method: http.MethodPost, Path: "/desk/{sid}/accept", Access: site.Agents, Handle: accept},
		{Method: http.MethodPost, Path: "/desk/{sid}/decline", Access: site.Agents, Handle: decline},
		{Method: http.MethodPost, Path: "/desk/{sid}/end", Access: site.Agents, Handle: end},
		{Method: http.MethodPost, Path: "/desk/{sid}/wrapup", Access: site.Agents, Handle: wrapUp},
		{Method: http.MethodPost, Path: "/desk/{sid}/cancel", Access: site.Agents, Handle: takeBack},
		{Method: http.MethodGet, Path: "/desk/notices", Access: site.Agents, Handle: (*site.Visit).ShowNotices, Part: true},
		{Method: http.MethodPost, Path: "/desk/notices", Access: site.Agents, Handle: answerNotice, Part: true},
	}
}

// agentDesk is the data of the page /desk.
type agentDesk struct {
	Work []records.Work
	// Passed are conversations that the agent has transferred and wrapped up, and that no agent has accepted yet.
	Passed []records.PassedOn
	// Handovers describes the active transfers of Work and Passed, by transfer SID.
	Handovers map[string]handover
	// Presences are the values that the agent can choose from.
	Presences []desk.Presence
	// Open is the open conversation, nil for none.
	Open *openConversation
}

// openConversation is a conversation on an agent's desk and the actions that the agent has there.
type openConversation struct {
	records.Thread
	// Kept is the query with which the transfer panel shows the same messages, "" for the newest messages.
	Kept  template.URL
	Lines []words.Line
	// Reader is the agent's name.
	Reader string
	// Handovers is described at agentDesk.
	Handovers map[string]handover
	// Offer, Active and Wrapping are the agent's reserved, assigned and wrapping tasks in the conversation, nil for
	// none.
	Offer, Active, Wrapping *records.Work
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

func showDesk(v *site.Visit) error { return respondDesk(v, http.StatusOK, "", form{}) }

// respondDesk responds with the agent's desk. refused is the reason why a form was refused, "" for none; typed is its
// content.
func respondDesk(v *site.Visit, status int, refused string, typed form) error {
	work, err := records.ReadWorkload(v.Ctx, v.Desk, v.Person.Name)
	if err != nil {
		return err
	}
	body := agentDesk{Work: work, Presences: []desk.Presence{desk.PresenceAvailable, desk.PresenceBreak, desk.PresenceOffline}}
	if body.Passed, err = records.ListPassedOn(v.Ctx, v.Desk, v.Person.Name); err != nil {
		return err
	}
	if body.Handovers, err = handovers(v, work, body.Passed); err != nil {
		return err
	}
	p := site.Page{Title: "Desk", Section: "desk", Refused: refused, Body: &body}
	if sid := v.R.PathValue("sid"); sid != "" {
		typed.Refused = refused
		if body.Open, err = openOn(v, sid, work, typed); err != nil {
			return notMineAnyMore(v, status, sid, refused, err)
		}
		body.Open.Handovers = body.Handovers
		p.Refused = "" // it is shown in the conversation
	}
	if unread := unreadOf(work); unread > 0 {
		p.Title = "(" + words.Plural(unread, "new", "new") + ") Desk"
	}
	return v.Render(status, "desk", p)
}

// notMineAnyMore responds with the desk alone if err says that the conversation is not on it any more, and returns
// every other error. A supervisor who opens the conversation's address is redirected to the supervisor's view.
func notMineAnyMore(v *site.Visit, status int, sid, refused string, err error) error {
	if conversation.CodeOf(err) != conversation.CodeNotYourTask || !conversation.IsSID(conversation.PrefixConversation, sid) {
		return err
	}
	said, lost := v.Confirmed()
	if lost != nil {
		return lost
	}
	v.Said = said
	if v.Person.Supervises() && v.Said == "" && refused == "" && v.R.Header.Get(site.HeaderHTMX) == "" {
		return v.Back("/conversations/"+url.PathEscape(sid), "")
	}
	if v.Said == "" && refused == "" {
		refused = "This conversation is not on your desk any more."
	}
	v.R.SetPathValue("sid", "")
	v.W.Header().Set(site.HeaderReplaceURL, "/desk")
	return respondDesk(v, status, refused, form{})
}

func unreadOf(work []records.Work) (count int) {
	for _, w := range work {
		count += w.Unread
		if w.Task.Status == conversation.TaskReserved {
			count++
		}
	}
	return count
}

// openOn reads the open conversation and marks its messages as read by the agent.
func openOn(v *site.Visit, sid string, work []records.Work, typed form) (*openConversation, error) {
	window, err := v.Window(sid)
	if err != nil {
		return nil, err
	}
	thread, err := records.ReadThread(v.Ctx, v.Desk, sid, records.AsAgent(v.Person.Name), window)
	if err != nil {
		return nil, err
	}
	settings, err := desk.ReadSettings(v.Ctx, v.Desk)
	if err != nil {
		return nil, err
	}
	o := &openConversation{
		Thread: thread, Kept: kept(thread), Lines: words.ForAgents(thread, v.Person.Name), Reader: v.Person.Name, TransfersOn: settings.MessagingTransfers, TransferNotes: settings.TransferNotes, Form: typed,
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
		if err := markSeen(v, w, thread); err != nil {
			return nil, err
		}
	}
	if o.Offer == nil && o.Active == nil && o.Wrapping == nil {
		return nil, conversation.Refuse(conversation.CodeNotYourTask, conversation.Details{}, "this conversation is not on your desk any more")
	}
	if last := len(thread.Tasks); last > 0 {
		o.Attributes = thread.Tasks[last-1].Attributes
	}
	if strings.HasSuffix(v.R.URL.Path, "/transfer") && o.Active != nil && o.Active.Transfer == nil {
		if v.R.Method == http.MethodGet {
			o.Form.Search, o.Form.To = v.R.FormValue("search"), v.R.FormValue("to")
		}
		if o.Directory, err = directoryOf(v, sid, o.Form.Search); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// markSeen marks the conversation's messages as read by the agent, unless the browser tab is in the background.
func markSeen(v *site.Visit, w *records.Work, thread records.Thread) error {
	if w.Unread == 0 || v.R.Header.Get(site.HeaderHidden) != "" || len(thread.Messages) == 0 {
		return nil
	}
	w.Unread = 0
	return records.MarkRead(v.Ctx, v.Desk, thread.Conversation.SID, v.Person.Name, thread.Messages[len(thread.Messages)-1].Number)
}

func directoryOf(v *site.Visit, sid, search string) (*directory, error) {
	found, err := people.SearchDirectory(v.Ctx, v.Desk, people.DirectoryQuery{Conversation: sid, Agent: v.Person.Name, Search: search, Limit: listed})
	if err != nil {
		return nil, err
	}
	d := &directory{More: found.More}
	for _, q := range found.Queues {
		c := choice{Value: "queue:" + q.Name, Name: q.Choice, About: words.Plural(q.Available, "agent available", "agents available") + ", " + words.Plural(q.Waiting, "waiting", "waiting")}
		switch {
		case q.Members == 0:
			c.Disabled, c.Hint = true, "no agents on this queue"
		case q.Available == 0:
			c.Hint = "no agent is available: the transfer waits"
		}
		d.Queues = append(d.Queues, c)
	}
	for _, a := range found.Agents {
		c := choice{Value: "agent:" + a.Name, Name: a.Choice, About: string(a.Presence) + ", " + words.Plural(a.Load, "task", "tasks")}
		if a.Presence != desk.PresenceAvailable {
			c.About = words.Plural(a.Load, "task", "tasks")
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
func streamDesk(v *site.Visit) error {
	w := v.Live.Watch(v.Person.Name, false)
	return v.Stream(v.Person.Name, w, func() (map[string]bool, error) {
		ctx, cancel := context.WithTimeout(v.Ctx, site.Patience)
		defer cancel()
		work, err := records.ReadWorkload(ctx, v.Desk, v.Person.Name)
		if err != nil {
			return nil, err
		}
		passed, err := records.ListPassedOn(ctx, v.Desk, v.Person.Name)
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

func setStatus(v *site.Visit) error {
	if err := routing.SetPresence(v.Ctx, v.Desk, v.Person.Name, desk.Presence(v.R.PostFormValue("presence"))); err != nil {
		return deskAfter(v, "", err, form{})
	}
	return v.Back(site.DeskPath(v.R.PostFormValue("conversation")), "")
}

// deskAfter responds to a form: with a redirect to the conversation's page, or with the same page, the refusal and
// the typed values.
func deskAfter(v *site.Visit, said string, err error, typed form) error {
	if err != nil {
		status, message, other := v.RefusedBy(err)
		if other != nil {
			return other
		}
		if conversation.CodeOf(err) == conversation.CodeWrapupPending {
			message = "Finish your wrap-up here, then accept again."
		}
		return respondDesk(v, status, message, typed)
	}
	return v.Back(site.DeskPath(v.R.PathValue("sid")), said)
}

func say(v *site.Visit) error {
	typed := form{Text: v.Text("text"), About: "say"}
	sid := v.R.PathValue("sid")
	if err := v.SentFor(v.Person.Key()); err != nil {
		return err
	}
	said, err := records.Say(v.Ctx, v.Desk, records.NewMessage{
		Conversation: sid, From: v.Person.Name, Text: typed.Text, ProviderSID: site.MessageID(sid, v.Person.Name+v.R.PostFormValue("once"), typed.Text),
	})
	switch {
	case v.Queued() && err != nil:
		return err
	case v.Queued():
		return site.Delivered(v, said)
	}
	return deskAfter(v, "", err, typed)
}

func transfer(v *site.Visit) error {
	typed := form{To: v.R.PostFormValue("to"), Note: v.Text("note"), Search: v.R.PostFormValue("search"), About: "transfer"}
	if v.R.PostFormValue("find") != "" { // without scripts, this button searches and keeps the typed values
		typed.About = ""
		return respondDesk(v, http.StatusOK, "", typed)
	}
	to, ok := site.TargetOf(typed.To)
	if !ok {
		return respondDesk(v, http.StatusUnprocessableEntity, "Select an agent or a queue.", typed)
	}
	command := conversation.TransferCommand{From: v.Person.Name, To: to, Note: typed.Note, Meta: v.Once()}
	_, err := v.Send(v.R.PathValue("sid"), command)
	return deskAfter(v, "Transferred. Complete your wrap-up when you are ready.", err, typed)
}

func accept(v *site.Visit) error {
	sid := v.R.PathValue("sid")
	_, err := v.Send(sid, conversation.AcceptCommand{
		Agent: v.Person.Name, Task: v.R.PostFormValue("task"), Reservation: v.R.PostFormValue("reservation"), Meta: v.Once(),
	})
	return deskAfter(v, "", err, form{About: "accept"})
}

func decline(v *site.Visit) error {
	typed := form{Reason: v.R.PostFormValue("reason"), About: "decline"}
	_, err := v.Send(v.R.PathValue("sid"), conversation.DeclineCommand{
		Agent: v.Person.Name, Task: v.R.PostFormValue("task"), Reservation: v.R.PostFormValue("reservation"), Reason: typed.Reason, Meta: v.Once(),
	})
	return deskAfter(v, "Declined.", err, typed)
}

func end(v *site.Visit) error {
	_, err := v.Send(v.R.PathValue("sid"), conversation.EndCommand{Agent: v.Person.Name, Task: v.R.PostFormValue("task"), Meta: v.Once()})
	return deskAfter(v, "Ended. Complete your wrap-up.", err, form{About: "end"})
}

func wrapUp(v *site.Visit) error {
	typed := form{Disposition: v.R.PostFormValue("disposition"), WrapupNote: v.Text("note"), About: "wrapup"}
	outcome, err := v.Send(v.R.PathValue("sid"), conversation.WrapupCommand{
		Agent: v.Person.Name, Task: v.R.PostFormValue("task"), Disposition: typed.Disposition, Note: typed.WrapupNote, Meta: v.Once(),
	})
	if err == nil && outcome.Unchanged && (typed.WrapupNote != "" || typed.Disposition != "") {
		return respondDesk(v, http.StatusConflict, "This wrap-up was completed before: the outcome and the note sent now were not kept.", typed)
	}
	return deskAfter(v, "Wrap-up complete.", err, typed)
}

func takeBack(v *site.Visit) error {
	transfer := v.R.PostFormValue("transfer")
	_, err := v.Send(v.R.PathValue("sid"), conversation.CancelCommand{Agent: v.Person.Name, Transfer: transfer, Meta: v.Once()})
	if err == nil {
		err = dismissOwn(v, transfer)
	}
	return deskAfter(v, "Transfer canceled.", err, form{About: "cancel"})
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

// kept returns the query with which another page of the conversation shows the same messages, "" for the newest
// ones.
func kept(t records.Thread) template.URL {
	if len(t.Messages) <= site.ShownMessages {
		return ""
	}
	return template.URL("?before=" + strconv.Itoa(site.First(t)+site.ShownMessages)) //nolint:gosec // a number needs no escaping
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
func (o *openConversation) First() int { return site.First(o.Thread) }

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
