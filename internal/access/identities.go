package access

import (
	"context"
	"errors"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Identity is the account at an OpenID Connect provider that an agent signs in with. A provider may give a name to
// another person, but it never gives a subject to another person.
type Identity struct {
	// Agent is the agent's name.
	Agent string `json:"agent"`
	// Issuer and Subject are the claims iss and sub of the provider's ID tokens.
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
	// BoundAt is when the agent first signed in with the account.
	BoundAt time.Time `json:"bound_at"`
}

// BindIdentity binds the agent to the account of the agent's first sign-in. It does nothing if they are bound to
// each other already. If the agent is bound to another account, or the account to another agent, it returns a
// [desk.TakenError] with the field identity. Other refusals: unknown_agent, and invalid_payload without an issuer or a
// subject.
func BindIdentity(ctx context.Context, d *desk.Desk, agent, issuer, subject string) error {
	if issuer == "" || subject == "" {
		return desk.Invalid("identity", "the provider's account has no issuer or no subject: both are needed to bind agent %s to it", agent)
	}
	bound := false
	err := d.QueryOne(ctx, "read an agent's identity", func(tx *desk.Tx) error {
		found, ok, err := sqldb.First(ctx, tx, scanIdentity, selectIdentities+` WHERE agent = $1`, agent)
		bound = ok && found.Issuer == issuer && found.Subject == subject
		return err
	})
	if err != nil || bound {
		return err
	}
	return d.ExclusiveTx(ctx, "bind the identity of "+agent, func(tx *desk.Tx) error {
		if err := desk.RequireAgent(ctx, tx, agent); err != nil {
			return err
		}
		others, err := sqldb.All(ctx, tx, scanIdentity, selectIdentities+` WHERE agent = $1 OR (issuer = $2 AND subject = $3)`, agent, issuer, subject)
		if err != nil {
			return err
		}
		for _, other := range others {
			switch {
			case other.Agent != agent:
				return desk.Taken("identity", "this account is bound to agent %s: an administrator can release that binding", other.Agent)
			case other.Issuer != issuer || other.Subject != subject:
				return desk.Taken("identity", "agent %s is bound to another account: an administrator can release that binding", agent)
			default:
				return nil // a concurrent sign-in was faster
			}
		}
		now := sqldb.Micros(d.Now())
		if _, err := tx.Exec(ctx, `INSERT INTO identities (agent, issuer, subject, bound_at) VALUES ($1, $2, $3, $4)`, agent, issuer, subject, now); err != nil {
			return err
		}
		tx.Secure(ctx, seclog.Entry{Event: seclog.IdentityBound, Subject: agent})
		return tx.Audit(ctx, now, desk.Changed{What: "agent.identity", Subject: agent, After: identitySummary(issuer, subject)})
	})
}

// ReleaseIdentity removes the agent's binding. The account that next signs in under the agent's name is then bound.
// It does nothing if there is no binding. Refused with unknown_agent.
func ReleaseIdentity(ctx context.Context, d *desk.Desk, agent string) error {
	return d.ExclusiveTx(ctx, "release the identity of "+agent, func(tx *desk.Tx) error {
		if err := desk.RequireAgent(ctx, tx, agent); err != nil {
			return err
		}
		found, ok, err := sqldb.First(ctx, tx, scanIdentity, selectIdentities+` WHERE agent = $1`, agent)
		if err != nil || !ok {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM identities WHERE agent = $1`, agent); err != nil {
			return err
		}
		tx.Secure(ctx, seclog.Entry{Event: seclog.IdentityReleased, Subject: agent})
		return tx.Audit(ctx, sqldb.Micros(d.Now()), desk.Changed{What: "agent.identity", Subject: agent, Before: identitySummary(found.Issuer, found.Subject)})
	})
}

// ListIdentities returns the bindings, by agent name.
func ListIdentities(ctx context.Context, d *desk.Desk) (identities []Identity, err error) {
	err = d.ReadTx(ctx, "read the identities", func(tx *desk.Tx) error {
		identities, err = sqldb.All(ctx, tx, scanIdentity, selectIdentities+` ORDER BY agent`)
		return err
	})
	return identities, err
}

// IdentityOf returns the agent's binding; false if the agent has none.
func IdentityOf(ctx context.Context, d *desk.Desk, agent string) (found Identity, bound bool, err error) {
	err = d.QueryOne(ctx, "read an agent's identity", func(tx *desk.Tx) error {
		found, bound, err = sqldb.First(ctx, tx, scanIdentity, selectIdentities+` WHERE agent = $1`, agent)
		return err
	})
	return found, bound, err
}

const selectIdentities = `SELECT agent, issuer, subject, bound_at FROM identities`

func scanIdentity(r sqldb.Row) (i Identity, err error) {
	err = r.Scan(&i.Agent, &i.Issuer, &i.Subject, sqldb.Instant(&i.BoundAt))
	return i, err
}

// identitySummary returns the account's text for the audit list.
func identitySummary(issuer, subject string) string { return subject + " at " + issuer }

// IsTaken reports whether the error is a [desk.TakenError] about the field.
func IsTaken(err error, field string) bool {
	conflict, ok := errors.AsType[*desk.TakenError](err)
	return ok && conflict.Refusal.Code == conversation.CodeInvalidPayload && conflict.Refusal.Details.Field == field
}
