package people

import (
	"cmp"
	"context"
	"strings"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Choices are the labels of agents and queues in lists to choose from. A label is the friendly name, followed by
// the unique name if the friendly name alone is ambiguous, as in "Josü (josu)". Customers never see labels.
type Choices struct{ agents, queues map[string]string }

// Agent returns the agent's label, or the name itself if the desk has no such agent.
func (c Choices) Agent(name string) string { return desk.DisplayName(c.agents, name) }

// Queue returns the queue's label, or the name itself if the desk has no such queue.
func (c Choices) Queue(name string) string { return desk.DisplayName(c.queues, name) }

// ReadChoices returns the labels of all agents and queues.
func ReadChoices(ctx context.Context, d *desk.Desk) (c Choices, err error) {
	err = d.ReadTx(ctx, "read what agents and queues are chosen by", func(tx *desk.Tx) error {
		c, err = readChoices(ctx, tx)
		return err
	})
	return c, err
}

func readChoices(ctx context.Context, tx *desk.Tx) (c Choices, err error) {
	if c.agents, err = choicesOf(ctx, tx, "agents"); err != nil {
		return c, err
	}
	c.queues, err = choicesOf(ctx, tx, "queues")
	return c, err
}

func choicesOf(ctx context.Context, tx *desk.Tx, table string) (map[string]string, error) {
	entries, err := sqldb.All(ctx, tx, func(r sqldb.Row) (e chosen, err error) {
		var folds string
		err = r.Scan(&e.name, &e.friendly, &folds)
		e.friendly = cmp.Or(e.friendly, e.name)
		foldedName, foldedFriendly, _ := strings.Cut(folds, "\n")
		e.foldedName, e.foldedFriendly = foldedName, cmp.Or(foldedFriendly, foldedName)
		return e, err
	}, `SELECT name, friendly_name, folded FROM `+table+` ORDER BY name`)
	if err != nil {
		return nil, err
	}
	return distinguished(entries), nil
}

// chosen is an agent or a queue, with the folds of its names.
type chosen struct{ name, friendly, foldedName, foldedFriendly string }

// distinguished returns the label of each entry among all entries.
func distinguished(entries []chosen) map[string]string {
	readers := map[string]map[string]bool{} // the names that a text could mean
	means := func(text, name string) {
		if readers[text] == nil {
			readers[text] = map[string]bool{}
		}
		readers[text][name] = true
	}
	for _, e := range entries {
		means(e.foldedName, e.name)
		means(e.foldedFriendly, e.name)
		means(e.foldedFriendly+" ("+e.foldedName+")", e.name)
	}
	named := make(map[string]string, len(entries))
	for _, e := range entries {
		named[e.name] = e.friendly
		if len(readers[e.foldedFriendly]) > 1 && e.friendly != e.name {
			named[e.name] = e.friendly + " (" + e.name + ")"
		}
	}
	return named
}
