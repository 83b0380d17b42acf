package admin

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

func keysCommand(c *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Show, add or revoke API keys, and show the account", Args: cobra.NoArgs,
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error { return showKeys(ctx, c, d) }),
	}
	cmd.AddCommand(addKey(c), accountCommand(c), &cobra.Command{
		Use: "list", Short: "Show the API keys, never their secrets", Args: cobra.NoArgs,
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error { return showKeys(ctx, c, d) }),
	}, &cobra.Command{
		Use: "revoke SK…", Short: "Revoke an API key", Args: name("key (SK…)"),
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			if err := access.RevokeKey(ctx, d, args[0]); err != nil {
				return err
			}
			return showKeys(ctx, c, d)
		}),
	})
	return cmd
}

func addKey(c *cli.Env) *cobra.Command {
	var key access.Key
	var role string
	cmd := &cobra.Command{
		Use: "add --role service|supervisor|agent", Short: "Add an API key and print its secret once", Args: cobra.NoArgs,
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
			key.Role = access.KeyRole(role)
			if key.Name == "" {
				key.Name = role
				if key.Agent != "" {
					key.Name = key.Agent
				}
			}
			added, secret, err := access.AddKey(ctx, d, key)
			if err != nil {
				return err
			}
			c.Security().Write(ctx, seclog.Entry{Event: seclog.SecretShown, Subject: added.SID})
			printed := struct {
				access.Key

				Secret string `json:"secret"`
			}{added, secret}
			return c.Print(printed, func(w io.Writer) {
				fmt.Fprintf(w, "key SID  %s\nsecret   %s\nKeep the secret now: it can't be shown again.\n", added.SID, secret)
			})
		}),
	}
	cmd.Flags().StringVar(&role, "role", "", "service: everything; supervisor: read and move all; agent: act as --agent only")
	cmd.Flags().StringVar(&key.Agent, "agent", "", "agent of a key with the role agent")
	cmd.Flags().StringVar(&key.Name, "name", "", "name of the key, for people (default: the role or the agent)")
	cmd.Flags().IntVar(&key.RateLimit, "limit", access.DefaultRateLimit, "requests per second")
	cli.Required(cmd, "role")
	return cmd
}

func accountCommand(c *cli.Env) *cobra.Command {
	var renew bool
	cmd := &cobra.Command{
		Use: "account", Short: "Show the account's SID and auth token, or renew the token", Args: cobra.NoArgs,
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
			read := access.ReadAccount
			if renew {
				read = access.RenewAuthToken
			}
			account, err := read(ctx, d)
			if err != nil {
				return err
			}
			if err := access.NoteSecretShown(ctx, d, "auth_token"); err != nil {
				return err
			}
			printed := map[string]string{"account_sid": account.SID, "auth_token": account.AuthToken}
			return c.Print(printed, func(w io.Writer) {
				fmt.Fprintf(w, "account SID  %s\nauth token   %s\n", account.SID, account.AuthToken)
			})
		}),
	}
	cmd.Flags().BoolVar(&renew, "renew", false, "create a new auth token; the present one stops working")
	return cmd
}

func showKeys(ctx context.Context, c *cli.Env, d *desk.Desk) error {
	keys, err := access.ListKeys(ctx, d)
	if err != nil {
		return err
	}
	known, err := cli.ReadNames(ctx, d)
	if err != nil {
		return err
	}
	return c.Print(keys, func(w io.Writer) {
		var rows [][]string
		for _, k := range keys {
			rows = append(rows, []string{k.SID, cli.OneLine(k.Name), string(k.Role), cli.Dash(known.Agent(k.Agent)), strconv.Itoa(k.RateLimit), cli.Moment(k.CreatedAt), cli.Moment(k.LastUsedAt), cli.Moment(k.RevokedAt)})
		}
		cli.Table(w, []string{"KEY", "NAME", "ROLE", "AGENT", "REQUESTS/S", "ADDED", "LAST USED", "REVOKED"}, rows)
	})
}

func webhooksCommand(c *cli.Env) *cobra.Command {
	show := c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error { return showWebhooks(ctx, c, d) })
	cmd := &cobra.Command{
		Use: "webhooks", Short: "Show the webhooks that could not be delivered, or deliver them again", Args: cobra.NoArgs, RunE: show,
	}
	var every bool
	redeliver := &cobra.Command{
		Use: "redeliver EV… | --all", Short: "Deliver dead webhooks again, in the order of each conversation",
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			positions, err := eventPositions(ctx, d, args, every)
			if err != nil {
				return err
			}
			count, err := outbox.RedeliverWebhooks(ctx, d, positions...)
			if err != nil {
				return err
			}
			return c.Print(map[string]int{"redelivered": count}, func(w io.Writer) { fmt.Fprintf(w, "webhooks that are delivered again: %d\n", count) })
		}),
	}
	redeliver.Flags().BoolVar(&every, "all", false, "all dead webhooks")
	cmd.AddCommand(redeliver, webhookSecret(c))
	return cmd
}

// webhookSecret returns the command `baton webhooks secret`.
func webhookSecret(c *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "secret", Short: "Show whether the auth token or a separate secret signs webhooks", Args: cobra.NoArgs,
		Long: "The account's auth token signs webhooks, until `baton webhooks secret renew` creates a separate secret.",
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
			account, err := access.ReadAccount(ctx, d)
			if err != nil {
				return err
			}
			return showWebhookSecret(c, account, "")
		}),
	}
	var overlap time.Duration
	renew := &cobra.Command{
		Use: "renew", Short: "Create a new secret for signing webhooks and print it once", Args: cobra.NoArgs,
		Long: "Creates a secret and prints it once. During the overlap, the present secret signs X-Twilio-Signature, and the new one\n" +
			"signs X-Baton-Signature-Next. Give receivers the new secret in that time, and let them accept either header. After the\n" +
			"overlap, the new secret signs X-Twilio-Signature. Use an overlap of 0 if the present secret has leaked.",
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
			account, secret, err := access.RenewWebhookSecret(ctx, d, overlap)
			if err != nil {
				return err
			}
			c.Security().Write(ctx, seclog.Entry{Event: seclog.SecretShown, Subject: "webhook_secret"})
			return showWebhookSecret(c, account, secret)
		}),
	}
	const usual = 24 * time.Hour
	cli.DurationVar(renew.Flags(), &overlap, "overlap", usual, "time in which both secrets sign webhooks, at most 30d")
	cmd.AddCommand(renew)
	return cmd
}

// showWebhookSecret prints what signs webhooks, and the secret if it was just made.
func showWebhookSecret(c *cli.Env, account access.Account, secret string) error {
	signedWith := "auth_token"
	if current, _ := account.Signing(time.Now()); current != account.AuthToken {
		signedWith = "webhook_secret"
	}
	printed := struct {
		SignedWith string    `json:"signed_with"`
		Secret     string    `json:"secret,omitempty"`
		NextAt     time.Time `json:"next_at,omitzero"`
	}{SignedWith: signedWith, Secret: secret}
	if _, next := account.Signing(time.Now()); next != "" {
		printed.NextAt = account.Webhook.NextAt
	}
	return c.Print(printed, func(w io.Writer) {
		fmt.Fprintf(w, "webhooks are signed with the %s\n", strings.ReplaceAll(signedWith, "_", " "))
		if !printed.NextAt.IsZero() {
			fmt.Fprintf(w, "and with the next webhook secret, which takes its place at %s\n", printed.NextAt.UTC().Format(time.RFC3339))
		}
		if secret != "" {
			fmt.Fprintf(w, "secret  %s\nKeep the secret now: it cannot be shown again.\n", secret)
		}
	})
}

func eventPositions(ctx context.Context, d *desk.Desk, sids []string, every bool) ([]int64, error) {
	if every == (len(sids) > 0) {
		return nil, cli.WrongUsage("name the events (EV…), as `baton webhooks` shows them, or --all")
	}
	var positions []int64
	for _, sid := range sids {
		epoch, position, ok := desk.EventPosition(sid)
		if !ok {
			return nil, cli.WrongUsage("%q is not an event's SID: take one (EV…) that `baton webhooks` shows", sid)
		}
		found, err := outbox.EventPage(ctx, d, outbox.EventFilter{Epoch: epoch, Position: position}, desk.Page{Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(found.Entries) == 0 {
			return nil, conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: "event"},
				"there is no event %s: take one that `baton webhooks` shows", sid)
		}
		positions = append(positions, position)
	}
	return positions, nil
}

// shownWebhook is a webhook in the form that is printed.
type shownWebhook struct {
	Event    string `json:"event"`
	Name     string `json:"name"`
	Stream   string `json:"stream"`
	Attempts int    `json:"attempts"`
	FirstAt  string `json:"first_at"`
	Failure  string `json:"failure"`
}

func showWebhooks(ctx context.Context, c *cli.Env, d *desk.Desk) error {
	waiting, oldest, err := outbox.PendingWebhooks(ctx, d)
	if err != nil {
		return err
	}
	dead := []shownWebhook{}
	for page := (desk.Page{Limit: desk.MaxPage}); ; {
		found, err := outbox.DeadWebhooks(ctx, d, page)
		if err != nil {
			return err
		}
		for _, hook := range found.Entries {
			dead = append(dead, shownWebhook{
				Event: hook.Event.SID(), Name: string(hook.Event.Name), Stream: hook.Stream, Attempts: hook.Attempts,
				FirstAt: hook.FirstAt.UTC().Format("2006-01-02T15:04:05Z"), Failure: hook.Failure,
			})
		}
		if !found.More {
			break
		}
		page.After = &found.Last
	}
	printed := struct {
		Waiting int            `json:"waiting"`
		Dead    []shownWebhook `json:"dead"`
	}{waiting, dead}
	return c.Print(printed, func(w io.Writer) {
		fmt.Fprintf(w, "%d wait to be delivered, the oldest since %s; %d are dead\n", waiting, cli.Clock(oldest), len(dead))
		var rows [][]string
		for _, hook := range dead {
			rows = append(rows, []string{hook.Event, hook.Name, hook.Stream, strconv.Itoa(hook.Attempts), hook.FirstAt, cli.OneLine(hook.Failure)})
		}
		if len(rows) > 0 {
			cli.Table(w, []string{"EVENT", "NAME", "OF", "ATTEMPTS", "SINCE", "FAILURE"}, rows)
		}
	})
}
