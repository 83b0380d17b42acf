package desk_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routes"
	"github.com/baton-transfers/baton/internal/routing"
)

// auditedSince returns the audit list's entries after the first known ones, oldest first, as text.
func auditedSince(h *desktest.Environment, known int) (entries []string) {
	h.T.Helper()
	found, err := desk.AuditPage(h.T.Context(), h.Desk, desk.AuditFilter{}, desk.Page{Limit: desk.MaxPage})
	require.NoError(h.T, err)
	for _, e := range found.Entries[:len(found.Entries)-known] {
		entries = append([]string{fmt.Sprintf("%s: %s %s: %s → %s", e.By, e.What, e.Subject, e.Before, e.After)}, entries...)
	}
	return entries
}

// testAudit makes every kind of change, and checks the exact entries that it leaves.
func testAudit(t *testing.T, h *desktest.Environment) {
	ctx := desk.WithActor(t.Context(), "carol")
	var key access.Key
	var workflow routes.Workflow
	var activity routing.Activity
	configuration := func(queue string) string {
		return `{"task_routing":{"default_filter":{"queue":"` + conversation.QueueSID(queue) + `"}}}`
	}
	workspace := func(change func(*access.Workspace)) error {
		_, err := access.SetWorkspace(ctx, h.Desk, change)
		return err
	}
	known := 0
	for _, step := range []struct {
		does string
		do   func() error
		// An entry begins with its author, which these texts omit; KEY replaces the key's SID.
		entries []string
	}{
		{
			"add an agent", func() error {
				return people.AddAgent(ctx, h.Desk, people.NewAgent{Name: "alice", Attributes: `{"skills":["billing"]}`})
			},
			[]string{`agent.added alice:  → agent, capacity 3, attributes {"skills":["billing"]}`},
		},
		{
			"add a supervisor", func() error {
				return people.AddAgent(ctx, h.Desk, people.NewAgent{Name: "bob", Role: desk.RoleSupervisor, Capacity: 1})
			},
			[]string{`agent.added bob:  → supervisor, capacity 1`},
		},
		{"give a role", func() error {
			return people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{Role: new(desk.RoleAdmin)})
		}, []string{`agent.role alice: agent → admin`}},
		{"give the same role", func() error {
			return people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{Role: new(desk.RoleAdmin)})
		}, nil},
		{"give a name and attributes", func() error {
			return people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{FriendlyName: new("Alice A."), Attributes: new(`{}`)})
		}, []string{`agent.friendly_name alice: alice → Alice A.`, `agent.attributes alice: {"skills":["billing"]} → {}`}},
		{"give them again", func() error {
			return people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{FriendlyName: new("Alice A."), Attributes: new(``)})
		}, nil},
		{"set a capacity", func() error { return people.SetCapacity(ctx, h.Desk, "alice", conversation.ChannelWeb, 7) }, []string{`agent.capacity alice: web 3 → web 7`}},
		{"set it again", func() error { return people.SetCapacity(ctx, h.Desk, "alice", conversation.ChannelWeb, 7) }, nil},
		{"come and go", func() error { return routing.SetPresence(ctx, h.Desk, "alice", desk.PresenceAvailable) }, nil},

		{"add a queue", func() error { return people.AddQueue(ctx, h.Desk, "support") }, []string{`queue.added support:  → members set manually`}},
		{
			"add a queue with an expression", func() error {
				return people.CreateQueue(ctx, h.Desk, people.NewQueue{Name: "vip", TargetWorkers: "1==1"})
			},
			[]string{`queue.added vip:  → members by 1==1`},
		},
		{"add a member", func() error { return people.AddMember(ctx, h.Desk, "support", "alice") }, []string{`queue.members support:  → alice`}},
		{"add them again", func() error { return people.AddMember(ctx, h.Desk, "support", "alice") }, nil},
		{"name the members", func() error { return people.SetMembers(ctx, h.Desk, "support", "bob") }, []string{`queue.members support: alice → bob`}},
		{"name the same", func() error { return people.SetMembers(ctx, h.Desk, "support", "bob", "bob") }, nil},
		{"take a member off", func() error {
			return people.UpdateQueue(ctx, h.Desk, "support", people.QueueChange{Leave: []string{"bob"}})
		}, []string{`queue.members support: bob → `}},
		{"remove an agent who is not a member", func() error {
			return people.UpdateQueue(ctx, h.Desk, "support", people.QueueChange{Leave: []string{"bob"}})
		}, nil},
		{"change a queue", func() error {
			return people.UpdateQueue(ctx, h.Desk, "vip", people.QueueChange{FriendlyName: new("Important"), TargetWorkers: new("1==2")})
		}, []string{`queue.friendly_name vip: vip → Important`, `queue.target_workers vip: 1==1 → 1==2`}},
		{"change it to the same", func() error {
			return people.UpdateQueue(ctx, h.Desk, "vip", people.QueueChange{FriendlyName: new("Important"), TargetWorkers: new("1==2")})
		}, nil},
		{"change an agent all at once", func() error {
			return people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{
				FriendlyName: new("Alice"), Capacity: map[conversation.Channel]int{conversation.ChannelSMS: 1, conversation.ChannelWeb: 7}, Join: []string{"support"},
			})
		}, []string{`agent.friendly_name alice: Alice A. → Alice`, `agent.capacity alice: sms 3 → sms 1`, `queue.members support:  → alice`}},
		{"change a queue all at once", func() error {
			return people.UpdateQueue(ctx, h.Desk, "support", people.QueueChange{FriendlyName: new("Help"), Join: []string{"bob"}, Leave: []string{"alice"}})
		}, []string{`queue.friendly_name support: support → Help`, `queue.members support: alice → bob`}},
		{
			"an agent leaves", func() error {
				return people.UpdateAgent(ctx, h.Desk, "bob", people.AgentChange{Leave: []string{"support"}})
			},
			[]string{`queue.members support: bob → `},
		},
		{"name members instead of an expression", func() error {
			return people.UpdateQueue(ctx, h.Desk, "vip", people.QueueChange{TargetWorkers: new(""), Join: []string{"alice"}})
		}, []string{`queue.target_workers vip: 1==2 → `, `queue.members vip:  → alice`}},
		{"remove a queue", func() error { return people.RemoveQueue(ctx, h.Desk, "vip") }, []string{`queue.removed vip: members set manually → `}},

		{"turn the switches on", func() error {
			_, err := desk.SetSettings(ctx, h.Desk, "dave", func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = true, true })
			return err
		}, []string{`dave: settings.messaging_transfers : off → on`, `dave: settings.transfer_notes : off → on`}},
		{"turn both off by one", func() error {
			_, err := desk.SetSettings(ctx, h.Desk, "", func(s *conversation.Settings) { s.MessagingTransfers = false })
			return err
		}, []string{`settings.messaging_transfers : on → off`, `settings.transfer_notes : on → off`}},
		{"change every policy", func() error {
			_, err := desk.SetSettings(ctx, h.Desk, "", func(s *conversation.Settings) {
				s.ReservationTimeout, s.TaskTimeout, s.WrapupTimeout, s.ReofferAfter = 60, 3600, 30, 10
				s.AgentUnavailable, s.Unanswered, s.TimeoutActivity = conversation.AgentUnavailableWait, conversation.UnansweredSender, false
			})
			return err
		}, []string{
			`settings.reservation_timeout : 120 s → 60 s`, `settings.task_timeout : 86400 s → 3600 s`, `settings.wrapup_timeout : 0 s → 30 s`,
			`settings.agent_unavailable : refuse → wait`, `settings.unanswered : origin_queue → sender`,
			`settings.reoffer_after : 60 s → 10 s`, `settings.timeout_activity : on → off`,
		}},
		{"change nothing", func() error {
			_, err := desk.SetSettings(ctx, h.Desk, "", func(*conversation.Settings) {})
			return err
		}, nil},

		{"install a plugin", func() error {
			return desk.SetPlugin(ctx, h.Desk, desk.Plugin{Name: "handover", Version: "1.2", Enabled: true, ConversationTransfer: true})
		}, []string{`plugin.added handover:  → enabled, version 1.2, transfers conversations`}},
		{"change a plugin", func() error {
			return desk.SetPlugin(ctx, h.Desk, desk.Plugin{Name: "handover", Version: "1.3"})
		}, []string{
			`plugin.version handover: 1.2 → 1.3`, `plugin.enabled handover: on → off`, `plugin.conversation_transfer handover: on → off`,
		}},
		{"change it to the same", func() error {
			return desk.SetPlugin(ctx, h.Desk, desk.Plugin{Name: "handover", Version: "1.3"})
		}, nil},
		{"remove a plugin", func() error { return desk.RemovePlugin(ctx, h.Desk, "handover") }, []string{`plugin.removed handover: disabled, version 1.3 → `}},

		{"add a key", func() (err error) {
			key, _, err = access.AddKey(ctx, h.Desk, access.Key{Name: "bob's", Role: access.KeyAgent, Agent: "bob"})
			return err
		}, []string{`key.added KEY:  → bob's, agent bob, 1000 requests a second`}},
		{"revoke it", func() error { return access.RevokeKey(ctx, h.Desk, key.SID) }, []string{`key.revoked KEY: bob's, agent bob, 1000 requests a second → `}},
		{"revoke it again", func() error { return access.RevokeKey(ctx, h.Desk, key.SID) }, nil},
		{"renew the token", func() error { _, err := access.RenewAuthToken(ctx, h.Desk); return err }, []string{`account.auth_token :  → renewed`}},
		{"send webhooks somewhere", func() error {
			return workspace(func(w *access.Workspace) {
				w.EventCallbackURL = "https://me:secret@example.com/hooks/s3cret?token=s3cret"
			})
		}, []string{`workspace.event_callback_url :  → https://example.com/…`}},
		{"with another token", func() error {
			return workspace(func(w *access.Workspace) { w.EventCallbackURL = "https://example.com/hooks?token=other" })
		}, []string{`workspace.event_callback_url : https://example.com/… → https://example.com/…`}},
		{"change the workspace", func() error {
			return workspace(func(w *access.Workspace) {
				w.FriendlyName, w.EventsFilter = "Shop", []string{"task.created", "task.canceled"}
			})
		}, []string{`workspace.friendly_name : Baton → Shop`, `workspace.events_filter :  → task.created, task.canceled`}},
		{"change nothing of it", func() error { return workspace(func(*access.Workspace) {}) }, nil},

		{"add a workflow", func() (err error) {
			workflow, err = routes.SaveWorkflow(ctx, h.Desk, routes.Workflow{FriendlyName: "Day", Configuration: configuration("support")})
			return err
		}, []string{`workflow.added Day:  → ` + configuration("support")}},
		{"rename it", func() error {
			workflow.FriendlyName = "Night"
			_, err := routes.SaveWorkflow(ctx, h.Desk, workflow)
			return err
		}, []string{`workflow.friendly_name Day: Day → Night`}},
		{"save it again", func() error { _, err := routes.SaveWorkflow(ctx, h.Desk, workflow); return err }, nil},
		{"remove it", func() error { return routes.RemoveWorkflow(ctx, h.Desk, workflow.SID) }, []string{`workflow.removed Night: ` + configuration("support") + ` → `}},
		{"add an activity", func() (err error) {
			activity, err = routing.AddActivity(ctx, h.Desk, "Lunch", false)
			return err
		}, []string{`activity.added Lunch:  → break`}},
		{"rename the activity", func() error {
			_, err := routing.RenameActivity(ctx, h.Desk, activity.SID, "Dinner")
			return err
		}, []string{`activity.name Lunch: Lunch → Dinner`}},
		{"take the activity", func() error {
			return people.UpdateAgent(ctx, h.Desk, "bob", people.AgentChange{Activity: &activity.SID})
		}, nil},
		{"leave it", func() error { return routing.SetPresence(ctx, h.Desk, "bob", desk.PresenceOffline) }, nil},
		{"remove the activity", func() error { return routing.RemoveActivity(ctx, h.Desk, activity.SID) }, []string{`activity.removed Dinner: break → `}},

		{"bob joins and gets a key", func() (err error) {
			if err := people.AddMember(ctx, h.Desk, "support", "bob"); err != nil {
				return err
			}
			key, _, err = access.AddKey(ctx, h.Desk, access.Key{Name: "bob", Role: access.KeyAgent, Agent: "bob"})
			return err
		}, []string{`queue.members support:  → bob`, `key.added KEY:  → bob, agent bob, 1000 requests a second`}},
		{"bob goes", func() error { return people.RemoveAgent(ctx, h.Desk, "bob") }, []string{
			`agent.removed bob: supervisor → `, `queue.members support: bob → `, `key.revoked KEY: bob, agent bob, 1000 requests a second → `,
		}},
	} {
		require.NoError(t, step.do(), step.does)
		var wanted []string
		for _, entry := range step.entries {
			if !strings.HasPrefix(entry, "dave: ") {
				entry = "carol: " + entry
			}
			wanted = append(wanted, strings.ReplaceAll(entry, "KEY", key.SID))
		}
		require.Equal(t, wanted, auditedSince(h, known), step.does)
		known += len(wanted)
	}
}

// testNotAudited checks that refused changes leave no entry, and that the author of changes without one is the
// system.
func testNotAudited(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	require.NoError(t, people.AddAgent(ctx, h.Desk, people.NewAgent{Name: "alice", Role: desk.RoleAdmin}))
	require.NoError(t, people.AddQueue(ctx, h.Desk, "support"))
	require.NoError(t, people.CreateQueue(ctx, h.Desk, people.NewQueue{Name: "vip", TargetWorkers: "1==1"}))
	require.NoError(t, desk.SetPlugin(ctx, h.Desk, desk.Plugin{Name: "handover", Enabled: true, ConversationTransfer: true}))
	known := len(auditedSince(h, 0))
	require.Equal(t, "system: agent.added alice:  → admin, capacity 3", auditedSince(h, 0)[0])
	set := func(change func(*conversation.Settings)) error {
		_, err := desk.SetSettings(ctx, h.Desk, "", change)
		return err
	}
	saved := func(_ any, err error) error { return err }
	for name, err := range map[string]error{
		"transfers beside a plugin":      set(func(s *conversation.Settings) { s.MessagingTransfers, s.ReofferAfter = true, 5 }),
		"out of range":                   set(func(s *conversation.Settings) { s.ReofferAfter, s.TaskTimeout = 5, -1 }),
		"no such role":                   people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{Role: new(desk.Role("boss"))}),
		"the only administrator":         people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{Role: new(desk.RoleAgent), FriendlyName: new("A")}),
		"remove them":                    people.RemoveAgent(ctx, h.Desk, "alice"),
		"no such activity":               people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{FriendlyName: new("A"), Activity: new("WA1")}),
		"attributes of an unknown agent": people.UpdateAgent(ctx, h.Desk, "bob", people.AgentChange{Attributes: new("{}")}),
		"capacity of an unknown agent":   people.SetCapacity(ctx, h.Desk, "bob", conversation.ChannelWeb, 1),
		"the same agent":                 people.AddAgent(ctx, h.Desk, people.NewAgent{Name: "alice"}),
		"an unknown member of a queue":   people.SetMembers(ctx, h.Desk, "support", "alice", "bob"),
		"too much of an agent":           people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{FriendlyName: new("A"), Capacity: map[conversation.Channel]int{conversation.ChannelWeb: 5, conversation.ChannelSMS: -1}}),
		"a queue that isn't there":       people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{FriendlyName: new("A"), Join: []string{"sales"}}),
		"an unknown agent who leaves":    people.UpdateQueue(ctx, h.Desk, "support", people.QueueChange{FriendlyName: new("S"), Join: []string{"alice"}, Leave: []string{"bob"}}),
		"a member of an expression":      people.UpdateQueue(ctx, h.Desk, "vip", people.QueueChange{Leave: []string{"alice"}}),
		"a wrong expression":             people.UpdateQueue(ctx, h.Desk, "vip", people.QueueChange{FriendlyName: new("V"), TargetWorkers: new("skills HAS")}),
		"the same queue":                 people.AddQueue(ctx, h.Desk, "vip"),
		"no queue":                       people.RemoveQueue(ctx, h.Desk, "sales"),
		"no plugin":                      desk.RemovePlugin(ctx, h.Desk, "theme"),
		"key of an unknown agent": saved(func() (any, error) {
			_, _, err := access.AddKey(ctx, h.Desk, access.Key{Name: "x", Role: access.KeyAgent, Agent: "bob"})
			return nil, err
		}()),
		"no key":                     access.RevokeKey(ctx, h.Desk, "SK1"),
		"no URL":                     saved(access.SetWorkspace(ctx, h.Desk, func(w *access.Workspace) { w.FriendlyName, w.EventCallbackURL = "W", "events" })),
		"no workflow":                routes.RemoveWorkflow(ctx, h.Desk, "WW1"),
		"an activity that has to be": routing.RemoveActivity(ctx, h.Desk, routing.ActivityOf(desk.PresenceBreak).SID),
	} {
		require.NotEmpty(t, conversation.CodeOf(err), "%s: %v", name, err)
	}
	require.Empty(t, auditedSince(h, known))
	require.Equal(t, desk.RoleAdmin, h.AgentNamed("alice").Role)
	require.NoError(t, people.AddAgent(ctx, h.Desk, people.NewAgent{Name: "carol", Role: desk.RoleAdmin}))
	require.NoError(t, people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{Role: new(desk.RoleAgent)}), "there is another administrator")
}

// testAuditPages reads the list by pages and by kind.
func testAuditPages(t *testing.T, h *desktest.Environment) {
	ctx := desk.WithActor(t.Context(), "carol")
	require.NoError(t, people.AddAgent(ctx, h.Desk, people.NewAgent{Name: "billing"}))
	require.NoError(t, people.AddQueue(ctx, h.Desk, "billing"))
	for i := range 10 {
		h.Clock.Advance(time.Minute)
		require.NoError(t, people.SetCapacity(desk.WithActor(ctx, "dave"), h.Desk, "billing", conversation.ChannelWeb, 10+i))
	}
	read := func(f desk.AuditFilter, size int) (positions []int64) {
		page := desk.Page{Limit: size}
		for {
			found, err := desk.AuditPage(ctx, h.Desk, f, page)
			require.NoError(t, err)
			for _, e := range found.Entries {
				positions = append(positions, e.Position)
			}
			if !found.More {
				return positions
			}
			page.After = &found.Last
		}
	}
	require.Equal(t, []int64{12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, read(desk.AuditFilter{}, 5), "newest first")
	require.Len(t, read(desk.AuditFilter{Subject: "billing"}, 5), 12)
	require.Equal(t, []int64{2}, read(desk.AuditFilter{Kind: desk.AuditQueue, Subject: "billing"}, 5))
	require.Equal(t, []int64{12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 1}, read(desk.AuditFilter{Kind: desk.AuditAgent}, 5))
	require.Equal(t, []int64{2, 1}, read(desk.AuditFilter{By: "carol"}, 1))
	require.Empty(t, read(desk.AuditFilter{Subject: "support"}, 5))
	found, err := desk.AuditPage(ctx, h.Desk, desk.AuditFilter{}, desk.Page{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, desk.AuditEntry{
		Position: 12, At: h.Clock.Now(), By: "dave", What: "agent.capacity", Subject: "billing", Before: "web 18", After: "web 19",
	}, found.Entries[0])
	require.Equal(t, desk.AuditAgent, found.Entries[0].Kind())
}
