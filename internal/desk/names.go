package desk

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/naming"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// A friendly name may be in any script. It is unique among agents, and among queues, when it is added. The name
// that identifies an agent or a queue is made from it then, and does not change when the friendly name changes.

// CleanName cleans a friendly name in place, and refuses one that has no text or too much.
func CleanName(of string, name *string) *conversation.Refusal {
	clean := conversation.CleanName(*name)
	if clean == "" || utf8.RuneCountInString(clean) > conversation.MaxText || !sqldb.Storable(*name) {
		return Invalid("friendly_name", "the %s's name has 1 to %d characters of text", of, conversation.MaxText)
	}
	*name = clean
	return nil
}

// CleanOptional cleans an optional name in place.
func CleanOptional(of string, name *string) *conversation.Refusal {
	if name == nil || *name == "" {
		return nil
	}
	return CleanName(of, name)
}

// Nameable refuses a friendly name from which no name can be made.
func Nameable(of, friendly string) *conversation.Refusal {
	if !strings.ContainsFunc(friendly, func(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.S) }) {
		return Invalid("friendly_name", "the %s's name %q has no letter, digit or symbol: add one, as in Billing", of, friendly)
	}
	return nil
}

// NameFor returns a free name for an agent or a queue with that friendly name: "jose", or "jose-2" when that is
// taken. It refuses a friendly name that another row of the table has already.
func NameFor(ctx context.Context, tx *Tx, of, table, friendly string) (string, error) {
	type named struct{ name, friendly string }
	others, err := sqldb.All(ctx, tx, func(r sqldb.Row) (n named, err error) {
		err = r.Scan(&n.name, &n.friendly)
		return n, err
	}, `SELECT name, friendly_name FROM `+table+` ORDER BY name`)
	if err != nil {
		return "", err
	}
	used := map[string]bool{}
	for _, other := range others {
		if naming.Same(cmp.Or(other.friendly, other.name), friendly) || other.name == friendly {
			return "", Taken("friendly_name", "there is %s named %q already: choose another name", article(of), friendly)
		}
		used[other.name] = true
	}
	slug := cmp.Or(naming.Slug(friendly), of)
	name := slug
	for number := 2; used[name]; number++ {
		name = naming.Numbered(slug, strconv.Itoa(number))
	}
	return name, nil
}

func article(of string) string {
	if of == KindAgent {
		return "an " + of
	}
	return "a " + of
}

// AgentNames returns the friendly names of these agents. A removed agent keeps the name itself.
func AgentNames(ctx context.Context, d *Desk, agents ...string) (map[string]string, error) {
	friendly := map[string]string{}
	err := d.ReadTx(ctx, "read the names of agents", func(tx *Tx) error {
		for _, agent := range Distinct(agents) {
			shown, _, err := sqldb.First(ctx, tx, sqldb.Value[string], `SELECT friendly_name FROM agents WHERE name = $1`, agent)
			if err != nil {
				return err
			}
			friendly[agent] = cmp.Or(shown, agent)
		}
		return nil
	})
	return friendly, err
}

// ReadNames returns the friendly names of all agents and queues.
func ReadNames(ctx context.Context, d *Desk) (Names, error) {
	names := Names{Agents: map[string]string{}, Queues: map[string]string{}}
	err := d.ReadTx(ctx, "read the names of agents and queues", func(tx *Tx) error {
		if err := sqldb.Each(ctx, tx, CollectNames(names.Agents), `SELECT name, friendly_name FROM agents WHERE friendly_name <> ''`); err != nil {
			return err
		}
		return sqldb.Each(ctx, tx, CollectNames(names.Queues), `SELECT name, friendly_name FROM queues WHERE friendly_name <> ''`)
	})
	return names, err
}

// KindAgent and KindQueue tell in an error what the name belongs to.
const (
	KindAgent = "agent"
	KindQueue = "queue"
)

// Distinct returns the sorted values without repetitions, so that there are few different queries.
func Distinct[T ~string](values []T) []T {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// Names map the names of agents and queues to their friendly names.
type Names struct{ Agents, Queues map[string]string }

// Agent returns an agent's friendly name, or the name itself when no other is known.
func (n Names) Agent(name string) string { return DisplayName(n.Agents, name) }

// Queue returns a queue's friendly name, or the name itself when no other is known.
func (n Names) Queue(name string) string { return DisplayName(n.Queues, name) }

// CollectNames returns a function that reads rows of a name and a friendly name into the map.
func CollectNames(into map[string]string) func(sqldb.Row) error {
	return func(r sqldb.Row) error {
		var name, friendly string
		err := r.Scan(&name, &friendly)
		into[name] = friendly
		return err
	}
}
