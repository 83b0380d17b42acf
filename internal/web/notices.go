package web

import (
	"bytes"
	"net/http"
	"net/url"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// noticeRoutes returns the routes of the notices that every agent's page shows.
func (s *Site) noticeRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "/desk/notices", access: agents, handle: (*visit).showNotices, part: true},
		{method: http.MethodPost, path: "/desk/notices", access: agents, handle: (*visit).answerNotice, part: true},
	}
}

// notices are the messages that an agent sees on every page.
type notices struct {
	// Missed is the offer that made the agent unavailable, nil for none.
	Missed *desk.MissedOffer
	// Sent are notices about the agent's transfers, newest first.
	Sent []notice
}

// Any reports whether there is a notice.
func (n notices) Any() bool { return n.Missed != nil || len(n.Sent) > 0 }

// notice says what happened to a transfer.
type notice struct {
	// SID is the ID to dismiss the notice with.
	SID string
	// Customer is the customer's name, Text the outcome.
	Customer, Text string
	// Link is the address of the conversation, "" if the agent may no longer open it.
	Link string
	// Failed is set if the transfer was not accepted.
	Failed bool
}

// news reads the notices of the signed-in person, once in a visit.
func (v *visit) news() (desk.Notices, error) {
	if v.noticed == nil {
		found, err := v.desk.Notices(v.ctx, v.person.Name)
		if err != nil {
			return desk.Notices{}, err
		}
		v.noticed = &found
	}
	return *v.noticed, nil
}

// notices returns the notices that the signed-in person has not dismissed.
func (v *visit) notices() (notices, error) {
	if !v.person.In() {
		return notices{}, nil
	}
	news, err := v.news()
	if err != nil {
		return notices{}, err
	}
	shown := notices{Missed: news.Missed}
	for _, sent := range news.Sent {
		one, ok := noticeOf(names{news.Names}, sent)
		if !ok || news.Dismissed[one.SID] {
			continue
		}
		one.Customer = sent.Conversation.Customer.Name
		for _, task := range sent.Conversation.Live {
			if task.Agent == v.person.Name && task.Status != conversation.TaskPending {
				one.Link = v.conversationPage(sent.Conversation.SID)
			}
		}
		shown.Sent = append(shown.Sent, one)
	}
	return shown, nil
}

// noticeOf returns the notice for the sender of a transfer; false while the transfer has no outcome to report.
func noticeOf(named names, sent desk.SentTransfer) (notice, bool) {
	switch x := sent.Transfer; x.Status {
	case conversation.TransferActive:
		if sent.Attempt == nil {
			return notice{}, false
		}
		return notice{SID: sent.Attempt.Reservation, Text: standing(named, sent), Failed: true}, true
	case conversation.TransferCompleted:
		text := named.Agent(x.AcceptedBy) + " accepted."
		if x.To.Agent != "" && x.To.Agent != x.AcceptedBy {
			text = named.Agent(x.AcceptedBy) + " accepted instead of " + named.Agent(x.To.Agent) + "."
		}
		return notice{SID: x.SID, Text: text}, true
	case conversation.TransferFailed:
		return notice{SID: x.SID, Text: failed(named, sent), Failed: true}, true
	}
	return notice{}, false
}

// standing returns the state of an active transfer: the outcome of its last offer, and where its task is now. It
// returns "" before an offer has failed.
func standing(named names, sent desk.SentTransfer) string {
	if sent.Attempt == nil {
		return ""
	}
	return attempted(named, *sent.Attempt) + " Now " + whereabouts(named, sent.Task) + "."
}

// attempted returns the outcome of an offer that was not accepted, as a sentence.
func attempted(named names, a desk.Attempt) string {
	agent := named.Agent(a.Agent)
	switch {
	case a.Reason == conversation.ReasonExpired:
		return agent + " did not answer in time."
	case a.Reason == conversation.ReasonAgentUnavailable:
		return agent + " is no longer available."
	case a.Words != "":
		return agent + " declined: ‘" + isolated(a.Words) + "’."
	}
	return agent + " declined."
}

// whereabouts returns where a task is.
func whereabouts(named names, task conversation.Task) string {
	switch {
	case task.Status == conversation.TaskReserved:
		return "offered to " + named.Agent(task.Agent)
	case task.Status == conversation.TaskAssigned:
		return "with " + named.Agent(task.Agent)
	case task.Direct:
		return "waiting for " + named.Agent(task.Agent)
	}
	return "waiting in " + named.Queue(task.Queue)
}

// failed says why a transfer failed, and whether its sender has the conversation again.
func failed(named names, sent desk.SentTransfer) string {
	x := sent.Transfer
	text := "The transfer to " + named.target(x.To) + " failed: " + because(x.FailureReason) + "."
	switch x.FailureReason {
	case conversation.ReasonDeclined, conversation.ReasonExpired:
		if sent.Attempt != nil {
			text = attempted(named, *sent.Attempt)
		}
	case conversation.ReasonCanceled:
		text = "The transfer to " + named.target(x.To) + " was canceled."
	case conversation.ReasonTaskTimeout:
		text = "The transfer to " + named.target(x.To) + " waited for too long."
	case conversation.ReasonConversationClosed:
		text = "The conversation was closed before the transfer to " + named.target(x.To) + " was accepted."
	case conversation.ReasonWorkflowEnded, conversation.ReasonReset: // text says it already
	case conversation.ReasonAgentUnavailable: // a reason of offers, never of transfers
	}
	for _, task := range sent.Conversation.Live {
		if task.Agent == x.From && task.Status == conversation.TaskAssigned {
			return text + " You have the conversation again."
		}
	}
	return text
}

// showNotices responds with only the notices, for an open page.
func (v *visit) showNotices() error {
	if v.r.Header.Get(headerHTMX) == "" {
		return v.back("/desk", "") // notices have no page of their own
	}
	shown, err := v.notices()
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := v.pages["sorry"].ExecuteTemplate(&body, "notices", page{Person: v.person, Notices: shown}); err != nil {
		return err //nolint:wrapcheck // the error names the template and the line
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Cache-Control", "no-store")
	_, err = body.WriteTo(v.w)
	return gone(err)
}

// answerNotice dismisses a notice, or makes an agent available again.
func (v *visit) answerNotice() error {
	var err error
	switch about := v.r.PostFormValue("notice"); {
	case v.r.PostFormValue("do") == "available":
		err = v.desk.SetPresence(v.ctx, v.person.Name, desk.PresenceAvailable)
	case about == "missed":
		err = v.desk.DismissMissedOffer(v.ctx, v.person.Name)
	default:
		err = v.desk.DismissNotices(v.ctx, v.person.Name, about)
	}
	if err != nil {
		return err
	}
	v.live.wakeAgent(v.person.Name) // for the agent's other tabs
	if v.r.Header.Get(headerHTMX) != "" {
		return v.showNotices()
	}
	return v.back(localPath(v.r.Referer()), "")
}

// sentTransfer returns the signed-in person's transfer with the SID; false if they have not made it.
func (v *visit) sentTransfer(sid string) (desk.SentTransfer, desk.Names, bool, error) {
	news, err := v.news()
	if err != nil {
		return desk.SentTransfer{}, desk.Names{}, false, err
	}
	for _, sent := range news.Sent {
		if sent.Transfer.SID == sid {
			return sent, news.Names, true, nil
		}
	}
	return desk.SentTransfer{}, desk.Names{}, false, nil
}

// handover describes the state of one of the agent's transfers.
type handover struct {
	// To is the display name of the target. Declined is the outcome of the last offer and where the task is now, ""
	// if no offer has failed.
	To, Declined string
}

func (v *visit) handover(x conversation.Transfer, known desk.Names) (handover, error) {
	h := handover{To: target(known, x.To)}
	sent, known, found, err := v.sentTransfer(x.SID)
	if err != nil || !found {
		return h, err
	}
	return handover{To: target(known, x.To), Declined: standing(names{known}, sent)}, nil
}

// handovers describes the transfers that the desk's list shows, by transfer SID.
func (v *visit) handovers(work []desk.Work, passed []desk.PassedOn) (map[string]handover, error) {
	found := map[string]handover{}
	add := func(x conversation.Transfer) (err error) {
		found[x.SID], err = v.handover(x, desk.Names{})
		return err
	}
	for _, w := range work {
		if w.Transfer == nil {
			continue
		}
		if err := add(*w.Transfer); err != nil {
			return nil, err
		}
	}
	for _, p := range passed {
		if err := add(p.Transfer); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// dismissOwn dismisses the notice of what the agent has just done.
func (v *visit) dismissOwn(transfer string) error {
	if !conversation.IsSID(conversation.PrefixTransfer, transfer) {
		return nil
	}
	return v.desk.DismissNotices(v.ctx, v.person.Name, transfer)
}

// conversationPage returns the path of the conversation on the agent's desk, or of the desk if sid is "".
func (v *visit) conversationPage(sid string) string {
	if sid == "" {
		return "/desk"
	}
	return "/desk/" + url.PathEscape(sid)
}
