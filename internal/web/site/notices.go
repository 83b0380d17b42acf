package site

import (
	"bytes"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/web/words"
)

// Notices are the messages that an agent sees on every page.
type Notices struct {
	// Missed is the offer that made the agent unavailable, nil for none.
	Missed *records.MissedOffer
	// Sent are notices about the agent's transfers, newest first.
	Sent []words.Notice
}

// Any reports whether there is a notice.
func (n Notices) Any() bool { return n.Missed != nil || len(n.Sent) > 0 }

// News reads the notices of the signed-in person, once in a visit.
func (v *Visit) News() (records.Notices, error) {
	if v.noticed == nil {
		found, err := records.ReadNotices(v.Ctx, v.Desk, v.Person.Name)
		if err != nil {
			return records.Notices{}, err
		}
		v.noticed = &found
	}
	return *v.noticed, nil
}

// notices returns the notices that the signed-in person has not dismissed.
func (v *Visit) notices() (Notices, error) {
	if !v.Person.In() {
		return Notices{}, nil
	}
	news, err := v.News()
	if err != nil {
		return Notices{}, err
	}
	shown := Notices{Missed: news.Missed}
	for _, sent := range news.Sent {
		one, ok := words.NoticeOf(words.Names{Of: news.Names}, sent)
		if !ok || news.Dismissed[one.SID] {
			continue
		}
		one.Customer = sent.Conversation.Customer.Name
		for _, task := range sent.Conversation.Live {
			if task.Agent == v.Person.Name && task.Status != conversation.TaskPending {
				one.Link = DeskPath(sent.Conversation.SID)
			}
		}
		shown.Sent = append(shown.Sent, one)
	}
	return shown, nil
}

// ShowNotices responds with only the notices, for an open page.
func (v *Visit) ShowNotices() error {
	if v.R.Header.Get(HeaderHTMX) == "" {
		return v.Back("/desk", "") // notices have no page of their own
	}
	shown, err := v.notices()
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := v.pages["sorry"].ExecuteTemplate(&body, "notices", Page{Person: v.Person, Notices: shown}); err != nil {
		return err //nolint:wrapcheck // the error names the template and the line
	}
	v.W.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.W.Header().Set("Cache-Control", "no-store")
	_, err = body.WriteTo(v.W)
	return Gone(err)
}
