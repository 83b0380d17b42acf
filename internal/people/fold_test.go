package people_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
)

// addNames adds names in several scripts, for testSearch and testFoldedNames.
func addNames(t *testing.T, h *desktest.Environment) {
	t.Helper()
	for name, friendly := range map[string]string{
		"eric": "Éric Müller", "ivan": "Иван Петров", "zhang-wei": "張偉", "isik": "Işık Groß", "wide": "Ｓａｌｅｓ １００％", "plain": "",
	} {
		require.NoError(t, people.AddAgent(t.Context(), h.Desk, people.NewAgent{Name: name, FriendlyName: friendly}))
		require.NoError(t, people.CreateQueue(t.Context(), h.Desk, people.NewQueue{Name: name, FriendlyName: friendly}))
	}
}

// finds checks the results of searches among people.
func finds(t *testing.T, h *desktest.Environment) {
	t.Helper()
	h.TransfersOn()
	h.Staff("support", "alice")
	th := h.Start("support").Follow().Accept("alice")
	for search, name := range map[string]string{
		"éric": "eric", "ERIC": "eric", "muller": "eric", "MÜLLER": "eric", "Mu\u0308ller": "eric", "иван": "ivan", "ИВАН  петров": "ivan", "Ivan": "ivan",
		"張": "zhang-wei", "wei": "zhang-wei", "işik": "isik", "IŞIK": "isik", "gross": "isik", "GROSS": "isik", "groß": "isik",
		"sales": "wide", "SALES 100": "wide", "100%": "wide", "Plain": "plain",
	} {
		found, err := people.SearchDirectory(t.Context(), h.Desk, people.DirectoryQuery{Conversation: th.SID, Agent: "alice", Search: search, Limit: 10})
		require.NoError(t, err)
		require.Len(t, found.Agents, 1, search)
		require.Equal(t, name, found.Agents[0].Name, search)
		require.Len(t, found.Queues, 1, search)
		require.Equal(t, name, found.Queues[0].Name, search)
	}
	for _, search := range []string{"100_", "%eric", `\`, "eric ivan"} {
		found, err := people.SearchDirectory(t.Context(), h.Desk, people.DirectoryQuery{Conversation: th.SID, Agent: "alice", Search: search, Limit: 10})
		require.NoError(t, err)
		require.Empty(t, found.Agents, search)
		require.Empty(t, found.Queues, search)
	}
}

func testSearch(t *testing.T, h *desktest.Environment) {
	addNames(t, h)
	finds(t, h)
	require.NoError(t, people.UpdateAgent(t.Context(), h.Desk, "eric", people.AgentChange{FriendlyName: new("Ægir")}))
	require.NoError(t, people.UpdateQueue(t.Context(), h.Desk, "eric", people.QueueChange{FriendlyName: new("Ægir")}))
	th := h.Start("support").Follow().Accept("alice")
	for search, many := range map[string]int{"aegir": 1, "eric": 1, "muller": 0} {
		found, err := people.SearchDirectory(t.Context(), h.Desk, people.DirectoryQuery{Conversation: th.SID, Agent: "alice", Search: search, Limit: 10})
		require.NoError(t, err)
		require.Len(t, found.Agents, many, search)
		require.Len(t, found.Queues, many, search)
	}
}

// testFoldedNames opens a desk from an earlier build.
func testFoldedNames(t *testing.T, h *desktest.Environment) {
	addNames(t, h)
	require.NoError(t, h.ExclusiveTx(t.Context(), "undo the migration", func(tx *desk.Tx) error {
		for _, statement := range []string{
			"UPDATE agents SET friendly_name = 'Éric\u202e Müller\u200b' WHERE name = 'eric'",
			`ALTER TABLE agents DROP COLUMN folded`, `ALTER TABLE queues DROP COLUMN folded`,
			`DROP INDEX refusals_once`, `ALTER TABLE refusals DROP COLUMN command`, // of version 13
			`DROP INDEX conversations_to_compare`, `ALTER TABLE conversations DROP COLUMN chain`, // of version 14
			`ALTER TABLE conversations DROP COLUMN compared_at`, `ALTER TABLE answers DROP COLUMN changes`, `DROP TABLE leases`,
			`ALTER TABLE feed DROP COLUMN epoch`, `ALTER TABLE events DROP COLUMN epoch`, `ALTER TABLE desk_events DROP COLUMN epoch`,
			`DELETE FROM schema_versions WHERE version_id >= 12`,
		} {
			if _, err := tx.Exec(t.Context(), statement); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, h.Close())
	h.Desk = h.Reopen()
	require.Equal(t, "Éric Müller", h.AgentNamed("eric").FriendlyName)
	finds(t, h)
}
