package people_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
)

// testMadeNames adds agents and queues by their friendly names only.
func testMadeNames(t *testing.T, h *desktest.Environment) {
	for _, register := range []func(friendly string) (string, error){
		func(friendly string) (string, error) {
			return people.RegisterAgent(t.Context(), h.Desk, people.NewAgent{FriendlyName: friendly})
		},
		func(friendly string) (string, error) {
			return people.RegisterQueue(t.Context(), h.Desk, people.NewQueue{FriendlyName: friendly})
		},
	} {
		for _, made := range [][2]string{
			{"Иван Петров", "ivan-petrov"},
			{"張偉", "zhang-wei"},
			{"経理", "jing-li"},
			{"Продажи", "prodazhi"},
			{"José", "jose"},
			{"Josü", "josu"},
			{"Jose", "jose-2"},
			{"Josè", "jose-3"},
			{"Çiğdem", "cigdem"},
			{strings.Repeat("Ж", 40), strings.Repeat("zh", 32)},
			{strings.Repeat("Ж", 41), strings.Repeat("zh", 31) + "-2"},
			{"Alice\u202e\u200b", "alice"},
			{"Alice Smith", "alice-smith"},
		} {
			name, err := register(made[0])
			require.NoError(t, err, made[0])
			require.Equal(t, made[1], name, made[0])
			require.Nil(t, people.ValidName("test", name))
		}
		for _, friendly := range []string{"José", "JOSÉ", "Jose\u0301", "alice", " Alice ", "Al\u2066ice"} {
			_, err := register(friendly)
			desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "already: choose another name")
		}
		for _, friendly := range []string{"", " ", "\u202e", "...", "!?", "a\x00b", strings.Repeat("ж", conversation.MaxText+1)} {
			_, err := register(friendly)
			require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), "%q", friendly)
		}
		first, err := register("🎉")
		require.NoError(t, err)
		second, err := register("🎈")
		require.NoError(t, err)
		require.Equal(t, first+"-2", second)
	}
	_, err := people.RegisterAgent(t.Context(), h.Desk, people.NewAgent{FriendlyName: "Customer"})
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "reserved")

	before := h.AgentNamed("jose")
	require.NoError(t, people.UpdateAgent(t.Context(), h.Desk, "jose", people.AgentChange{FriendlyName: new(" Пепе\u202e ")}))
	require.Equal(t, "Пепе", h.AgentNamed("jose").FriendlyName)
	require.Equal(t, before.SID, h.AgentNamed("jose").SID)
	name, err := people.RegisterAgent(t.Context(), h.Desk, people.NewAgent{FriendlyName: "José"})
	require.NoError(t, err)
	require.Equal(t, "jose-4", name, "the name stays with who has it")
}

// testCleanNames uses friendly names with characters that reorder or hide text, wherever a friendly name is
// accepted.
func testCleanNames(t *testing.T, h *desktest.Environment) {
	const given, clean = "Refund\u202e 張\u200b偉\n(2)\u2069", "Refund 張偉 (2)"
	sid, err := records.OpenDraft(t.Context(), h.Desk, records.Draft{Details: records.Details{FriendlyName: given}, Customer: conversation.Customer{Name: given}})
	require.NoError(t, err)
	details, err := records.ReadDetails(t.Context(), h.Desk, sid)
	require.NoError(t, err)
	require.Equal(t, clean, details.FriendlyName)
	opened, err := records.FindConversation(t.Context(), h.Desk, sid)
	require.NoError(t, err)
	require.Equal(t, clean, opened.Customer.Name)
	details, err = records.SetDetails(t.Context(), h.Desk, sid, func(d *records.Details) { d.FriendlyName = "\u2066" + given })
	require.NoError(t, err)
	require.Equal(t, clean, details.FriendlyName)

	require.NoError(t, desk.SetPlugin(t.Context(), h.Desk, desk.Plugin{Name: given, Version: "1\u202e"}))
	plugins, err := desk.ListPlugins(t.Context(), h.Desk)
	require.NoError(t, err)
	require.Contains(t, plugins, desk.Plugin{Name: clean, Version: "1"})

	name, err := people.RegisterQueue(t.Context(), h.Desk, people.NewQueue{FriendlyName: given})
	require.NoError(t, err)
	names, err := desk.ReadNames(t.Context(), h.Desk)
	require.NoError(t, err)
	require.Equal(t, clean, names.Queue(name))
	require.Equal(t, "gone", names.Agent("gone"))
}

// testLengths uses texts that are one character too long. Each is refused with its length in characters as people
// count them.
func testLengths(t *testing.T, h *desktest.Environment) {
	for _, character := range []string{"a", "é", "😀"} {
		name := strings.Repeat(character, conversation.MaxText)
		_, err := records.OpenDraft(t.Context(), h.Desk, records.Draft{Details: records.Details{FriendlyName: name}})
		require.NoError(t, err, "%q", character)
		_, err = records.OpenDraft(t.Context(), h.Desk, records.Draft{Details: records.Details{FriendlyName: name + character}})
		desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "at most 255 characters")
		require.NoError(t, desk.SetPlugin(t.Context(), h.Desk, desk.Plugin{Name: name, Version: name}))
		desktest.RequireRefused(t, conversation.CodeInvalidPayload, desk.SetPlugin(t.Context(), h.Desk, desk.Plugin{Name: name + character}), "at most 255 characters")
	}
}

// testMadeNamesAtOnce concurrently adds agents with similar names.
func testMadeNamesAtOnce(t *testing.T, h *desktest.Environment) {
	other := h.Reopen()
	var adding sync.WaitGroup
	accents := []string{"e", "é", "è", "ê", "ë", "ē", "ė", "ę"}
	made := make([]string, len(accents))
	errs := make([]error, len(accents))
	for i, accent := range accents {
		adding.Go(func() {
			d := h.Desk
			if i%2 == 1 {
				d = other
			}
			made[i], errs[i] = people.RegisterAgent(t.Context(), d, people.NewAgent{FriendlyName: "Jos" + accent})
		})
	}
	adding.Wait()
	wanted := []string{"jose"}
	for i := range accents {
		require.NoError(t, errs[i])
		if i > 0 {
			wanted = append(wanted, fmt.Sprintf("jose-%d", i+1))
		}
	}
	require.ElementsMatch(t, wanted, made)
}
