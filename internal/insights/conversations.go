package insights

import (
	"cmp"
	"context"
	"slices"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
)

// Conversation is a conversation that counts in a figure.
type Conversation struct {
	records.Conversation
	// Times is how often it counts in the figure.
	Times int `json:"times"`
}

// Conversations returns a page of the conversations that count in a figure for the filter, the most recent
// first; their Times add up to the figure. It uses the code that counts the figure. Refused with invalid_payload:
// an unknown figure, an invalid period.
func Conversations(ctx context.Context, d *desk.Desk, f Filter, figure Figure, p desk.Page) (desk.Found[Conversation], error) {
	wanted, ok := measureOf(figure)
	if !ok {
		return desk.Found[Conversation]{}, invalid("figure", "insights: there is no figure %q: name one of those that are defined", figure)
	}
	if err := f.check(); err != nil {
		return desk.Found[Conversation]{}, err
	}
	traces := map[string]*trace{}
	err := observe(ctx, d, "trace insights", f, func(o observation) {
		if o.measure != wanted || !o.of.total {
			return
		}
		if traces[o.conversation] == nil {
			traces[o.conversation] = &trace{Cursor: desk.Cursor{SID: o.conversation}}
		}
		traces[o.conversation].times += o.times
		traces[o.conversation].Key = max(traces[o.conversation].Key, o.at)
	})
	if err != nil {
		return desk.Found[Conversation]{}, err
	}
	page := pageOfTraces(traces, p)
	found := desk.Found[Conversation]{First: page.First, Last: page.Last, More: page.More, Earlier: page.Earlier}
	err = d.ReadTx(ctx, "read the conversations behind "+string(figure), func(tx *desk.Tx) error {
		found.Entries = []Conversation{}
		for _, traced := range page.Entries {
			c, err := records.ReadConversation(ctx, tx, traced.SID)
			if err != nil {
				return err
			}
			found.Entries = append(found.Entries, Conversation{Conversation: c, Times: traced.times})
		}
		return nil
	})
	return found, err
}

// trace is a conversation that counts in a figure. The key of its cursor is when it last counted.
type trace struct {
	desk.Cursor

	times int
}

// pageOfTraces returns a page of a list in memory, the most recent first.
func pageOfTraces(traces map[string]*trace, p desk.Page) desk.Found[*trace] {
	latestFirst := func(a, b desk.Cursor) int { return cmp.Or(cmp.Compare(b.Key, a.Key), cmp.Compare(b.SID, a.SID)) }
	sorted := make([]*trace, 0, len(traces))
	for _, t := range traces {
		sorted = append(sorted, t)
	}
	slices.SortFunc(sorted, func(a, b *trace) int { return latestFirst(a.Cursor, b.Cursor) })
	if p.Limit <= 0 {
		p.Limit = 50
	}
	p.Limit = min(p.Limit, desk.MaxPage)
	begin := min(p.Skip, len(sorted))
	place := func(c desk.Cursor) int {
		at, _ := slices.BinarySearchFunc(sorted, c, func(t *trace, c desk.Cursor) int { return latestFirst(t.Cursor, c) })
		return at
	}
	end := len(sorted)
	switch {
	case p.After != nil:
		begin = place(*p.After)
		if begin < len(sorted) && sorted[begin].Cursor == *p.After {
			begin++
		}
	case p.Before != nil:
		end = place(*p.Before)
		begin = max(end-p.Limit, 0)
	}
	end = min(begin+p.Limit, end)
	found := desk.Found[*trace]{Entries: sorted[begin:end], More: end < len(sorted), Earlier: begin > 0}
	if begin < end {
		found.First, found.Last = sorted[begin].Cursor, sorted[end-1].Cursor
	}
	return found
}
