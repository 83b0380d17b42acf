package desk

import (
	"context"
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Role determines what an agent may do.
type Role string

// Agents take conversations. Supervisors also read and move all conversations. Administrators also change the
// settings.
const (
	RoleAgent      Role = "agent"
	RoleSupervisor Role = "supervisor"
	RoleAdmin      Role = "admin"
)

// Roles returns every role.
func Roles() []Role { return []Role{RoleAgent, RoleSupervisor, RoleAdmin} }

// MayReadAll reports whether agents with the role may read conversations that they do not have.
func (r Role) MayReadAll() bool { return r == RoleSupervisor || r == RoleAdmin }

// Presence is whether an agent takes conversations now.
type Presence string

// Only available agents are offered tasks.
const (
	PresenceAvailable Presence = "available"
	PresenceBreak     Presence = "break"
	PresenceOffline   Presence = "offline"
)

// ValidObject refuses a text that is not a JSON object of at most limit characters. An empty text is valid.
func ValidObject(text string, limit int) *conversation.Refusal {
	var attributes map[string]any
	switch {
	case text == "":
		return nil
	case utf8.RuneCountInString(text) > limit:
		return Invalid("attributes", "attributes are JSON of at most %d characters", limit)
	case !sqldb.Storable(text) || json.Unmarshal([]byte(text), &attributes) != nil || attributes == nil:
		return Invalid("attributes", `attributes are a JSON object, as in {"skills":["billing"]}`)
	}
	return nil
}

// RequireAgent refuses an unknown name with unknown_agent.
func RequireAgent(ctx context.Context, tx *Tx, name string) error {
	_, err := PresenceOf(ctx, tx, name)
	return err
}

// PresenceOf returns the agent's presence; refused with unknown_agent.
func PresenceOf(ctx context.Context, tx *Tx, name string) (Presence, error) {
	presence, found, err := sqldb.First(ctx, tx, sqldb.Value[Presence], `SELECT presence FROM agents WHERE name = $1`, name)
	if err == nil && !found {
		return "", UnknownAgent(name)
	}
	return presence, err
}

// UnknownAgent refuses a name that no agent has with unknown_agent.
func UnknownAgent(name string) *conversation.Refusal {
	return conversation.Refuse(conversation.CodeUnknownAgent, conversation.Details{Agent: name},
		"there is no agent named %q: check the spelling, or have an administrator add the agent at the desk", name)
}

// ValidPresence refuses an unknown presence with invalid_payload.
func ValidPresence(p Presence) *conversation.Refusal {
	if !slices.Contains([]Presence{PresenceAvailable, PresenceBreak, PresenceOffline}, p) {
		return Invalid("presence", "there is no presence %q: choose %s, %s or %s", p, PresenceAvailable, PresenceBreak, PresenceOffline)
	}
	return nil
}

// DisplayName returns the friendly name of the name, or the name itself.
func DisplayName(names map[string]string, name string) string {
	if friendly := names[name]; friendly != "" {
		return friendly
	}
	return name
}

// FindBySID returns the row with the SID, or refuses with the code when there is none.
func FindBySID[T any](ctx context.Context, tx *Tx, code conversation.Code, scan func(sqldb.Row) (T, error), query, sid string) (T, error) {
	found, ok, err := sqldb.First(ctx, tx, scan, query, sid)
	if err == nil && !ok {
		return found, conversation.Refuse(code, conversation.Details{}, "the desk has no record of %s: check the SID", sid)
	}
	return found, err
}
