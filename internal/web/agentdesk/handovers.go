package agentdesk

import (
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/web/site"
	"github.com/baton-transfers/baton/internal/web/words"
)

// answerNotice dismisses a notice, or makes an agent available again.
func answerNotice(v *site.Visit) error {
	var err error
	switch about := v.R.PostFormValue("notice"); {
	case v.R.PostFormValue("do") == "available":
		err = routing.SetPresence(v.Ctx, v.Desk, v.Person.Name, desk.PresenceAvailable)
	case about == "missed":
		err = records.DismissMissedOffer(v.Ctx, v.Desk, v.Person.Name)
	default:
		err = records.DismissNotices(v.Ctx, v.Desk, v.Person.Name, about)
	}
	if err != nil {
		return err
	}
	v.Live.WakeAgent(v.Person.Name) // for the agent's other tabs
	if v.R.Header.Get(site.HeaderHTMX) != "" {
		return v.ShowNotices()
	}
	return v.Back(site.LocalPath(v.R.Referer()), "")
}

// sentTransfer returns the signed-in person's transfer with the SID; false if they have not made it.
func sentTransfer(v *site.Visit, sid string) (records.SentTransfer, desk.Names, bool, error) {
	news, err := v.News()
	if err != nil {
		return records.SentTransfer{}, desk.Names{}, false, err
	}
	for _, sent := range news.Sent {
		if sent.Transfer.SID == sid {
			return sent, news.Names, true, nil
		}
	}
	return records.SentTransfer{}, desk.Names{}, false, nil
}

// handover describes the state of one of the agent's transfers.
type handover struct {
	// To is the display name of the target. Declined is the outcome of the last offer and where the task is now, ""
	// if no offer has failed.
	To, Declined string
}

func handoverOf(v *site.Visit, x conversation.Transfer, known desk.Names) (handover, error) {
	h := handover{To: words.Target(known, x.To)}
	sent, known, found, err := sentTransfer(v, x.SID)
	if err != nil || !found {
		return h, err
	}
	return handover{To: words.Target(known, x.To), Declined: words.Standing(words.Names{Of: known}, sent)}, nil
}

// handovers describes the transfers that the desk's list shows, by transfer SID.
func handovers(v *site.Visit, work []records.Work, passed []records.PassedOn) (map[string]handover, error) {
	found := map[string]handover{}
	add := func(x conversation.Transfer) (err error) {
		found[x.SID], err = handoverOf(v, x, desk.Names{})
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
func dismissOwn(v *site.Visit, transfer string) error {
	if !conversation.IsSID(conversation.PrefixTransfer, transfer) {
		return nil
	}
	return records.DismissNotices(v.Ctx, v.Desk, v.Person.Name, transfer)
}
