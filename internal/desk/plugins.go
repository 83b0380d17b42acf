package desk

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Plugin is an extension of the agents' desk that is installed alongside Baton.
type Plugin struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Enabled bool   `json:"enabled"`
	// ConversationTransfer is set for a plugin that transfers conversations itself. While it is enabled, messaging
	// transfers cannot be turned on, and are refused if they are on.
	ConversationTransfer bool `json:"conversation_transfer"`
}

// ListPlugins returns the installed plugins by name.
func ListPlugins(ctx context.Context, d *Desk) (plugins []Plugin, err error) {
	err = d.ReadTx(ctx, "read plugins", func(tx *Tx) error {
		plugins, err = sqldb.All(ctx, tx, scanPlugin, selectPlugins+` ORDER BY name`)
		return err
	})
	return plugins, err
}

const selectPlugins = `SELECT name, version, enabled, conversation_transfer FROM plugins`

func scanPlugin(r sqldb.Row) (p Plugin, err error) {
	err = r.Scan(&p.Name, &p.Version, &p.Enabled, &p.ConversationTransfer)
	return p, err
}

// SetPlugin installs the plugin, or changes the one of that name.
func SetPlugin(ctx context.Context, d *Desk, p Plugin) error {
	p.Name, p.Version = conversation.CleanName(p.Name), conversation.CleanName(p.Version)
	if p.Name == "" || utf8.RuneCountInString(p.Name) > conversation.MaxText || utf8.RuneCountInString(p.Version) > conversation.MaxText {
		return Invalid("name", "a plugin has a name, and name and version have at most %d characters", conversation.MaxText)
	}
	return d.ExclusiveTx(ctx, "set plugin "+p.Name, func(tx *Tx) error {
		before, installed, err := sqldb.First(ctx, tx, scanPlugin, selectPlugins+` WHERE name = $1`, p.Name)
		if err != nil {
			return err
		}
		now := sqldb.Micros(d.Now())
		values := []Changed{{What: "plugin.added", Subject: p.Name, After: p.summary()}}
		if installed {
			values = []Changed{
				{What: "plugin.version", Subject: p.Name, Before: before.Version, After: p.Version},
				{What: "plugin.enabled", Subject: p.Name, Before: onOff(before.Enabled), After: onOff(p.Enabled)},
				{What: "plugin.conversation_transfer", Subject: p.Name, Before: onOff(before.ConversationTransfer), After: onOff(p.ConversationTransfer)},
			}
		}
		if err := tx.Audit(ctx, now, values...); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO plugins (name, version, enabled, conversation_transfer, changed_at)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (name) DO UPDATE SET version = excluded.version, enabled = excluded.enabled,
				conversation_transfer = excluded.conversation_transfer, changed_at = excluded.changed_at`,
			p.Name, p.Version, sqldb.Flag(p.Enabled), sqldb.Flag(p.ConversationTransfer), now)
		return err
	})
}

// RemovePlugin uninstalls the plugin. It is refused with invalid_payload if the plugin is not installed.
func RemovePlugin(ctx context.Context, d *Desk, name string) error {
	return d.ExclusiveTx(ctx, "remove plugin "+name, func(tx *Tx) error {
		before, installed, err := sqldb.First(ctx, tx, scanPlugin, selectPlugins+` WHERE name = $1`, name)
		switch {
		case err != nil:
			return err
		case !installed:
			return Invalid("name", "there is no plugin named %q: see the list of plugins", name)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM plugins WHERE name = $1`, name); err != nil {
			return err
		}
		return tx.Audit(ctx, sqldb.Micros(d.Now()), Changed{What: "plugin.removed", Subject: name, Before: before.summary()})
	})
}

// SelectTransferPlugin finds the name of an enabled plugin that transfers conversations itself.
const SelectTransferPlugin = `SELECT name FROM plugins WHERE enabled = 1 AND conversation_transfer = 1 ORDER BY name LIMIT 1`

// transferPlugin returns the name of such a plugin, or "" when there is none.
func transferPlugin(ctx context.Context, tx *Tx) (string, error) {
	name, _, err := sqldb.First(ctx, tx, sqldb.Value[string], SelectTransferPlugin)
	return name, err
}

func (p Plugin) summary() string {
	words := []string{"disabled"}
	if p.Enabled {
		words[0] = "enabled"
	}
	if p.Version != "" {
		words = append(words, "version "+p.Version)
	}
	if p.ConversationTransfer {
		words = append(words, "transfers conversations")
	}
	return strings.Join(words, ", ")
}
