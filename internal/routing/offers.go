package routing

import (
	"cmp"
	"context"
	"slices"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Offer is everything that an agent needs to decide on an offer.
type Offer struct {
	// Conversation has the customer and the channel.
	Conversation records.Conversation `json:"conversation"`
	// Task is the offered task with its attributes. Its reservation has the time at which the offer expires.
	Task conversation.Task `json:"task"`
	// Transfer is the transfer that made the task, nil if no transfer did.
	Transfer *conversation.Transfer `json:"transfer,omitempty"`
	// Notes are all notes of the conversation, oldest first, and Transcript all its messages.
	Notes      []conversation.Note `json:"notes"`
	Transcript []records.Message   `json:"transcript"`
}

// ListOffers returns the offers to the agent, the first to expire first. All of it is of the same moment: an offer is
// never seen without its history and note. It is refused with unknown_agent.
func ListOffers(ctx context.Context, d *desk.Desk, agent string) (offers []Offer, err error) {
	err = d.ReadTx(ctx, "read the offers of "+agent, func(tx *desk.Tx) error {
		offers, err = readOffers(ctx, tx, agent)
		return err
	})
	return offers, err
}

func readOffers(ctx context.Context, tx *desk.Tx, agent string) ([]Offer, error) {
	if err := desk.RequireAgent(ctx, tx, agent); err != nil {
		return nil, err
	}
	tasks, err := sqldb.All(ctx, tx, records.ScanTask, records.SelectTasks+`
		WHERE t.sid IN (SELECT task FROM reservations WHERE agent = $1 AND status = 'pending') AND r.agent = $1 AND r.status = 'pending'`, agent)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(tasks, func(a, b records.Task) int {
		return cmp.Or(a.Reservation.ExpiresAt.Compare(b.Reservation.ExpiresAt), cmp.Compare(a.SID, b.SID))
	})
	offers := []Offer{}
	for _, task := range tasks {
		offer := Offer{Task: task.Task}
		if offer.Conversation, err = records.ReadConversation(ctx, tx, task.Conversation); err != nil {
			return nil, err
		}
		if task.Transfer != "" {
			transfer, found, err := sqldb.First(ctx, tx, records.ScanTransfer, records.SelectTransfers+` WHERE x.sid = $1`, task.Transfer)
			if err != nil {
				return nil, err
			}
			if found {
				offer.Transfer = &transfer.Transfer
			}
		}
		if offer.Notes, err = records.ReadNotes(ctx, tx, task.Conversation, records.Extent{}); err != nil {
			return nil, err
		}
		if offer.Transcript, err = records.ReadTranscriptTx(ctx, tx, task.Conversation, records.Extent{}); err != nil {
			return nil, err
		}
		offers = append(offers, offer)
	}
	return offers, nil
}
