package records_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
)

func ofCustomer(name, address string) func(*conversation.StartCommand) {
	return func(c *conversation.StartCommand) { c.Customer = conversation.Customer{Name: name, Address: address} }
}

// searchFor returns the page of a search without a filter.
func searchFor(h *desktest.Environment, search string) []records.Match {
	h.T.Helper()
	found, err := records.ConversationPage(h.T.Context(), h.Desk, records.Filter{}, search, desk.Page{})
	require.NoError(h.T, err, search)
	return found.Entries
}

func sidsOf(matches []records.Match) []string {
	sids := []string{}
	for _, m := range matches {
		sids = append(sids, m.SID)
	}
	return sids
}

// testSearchConversations: supervisors find conversations by the customer's name and address and by the text of
// messages.
func testSearchConversations(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	names := map[string]*desktest.Conversation{}
	for _, c := range []struct{ name, address, text string }{
		{"Éric Müller", "Eric.Mueller@Example.com", "I was charged twice."},
		{"Иван Ёлкин", "+49 (0) 171 555-0100", "Где мой\nвозврат?"},
		{"Ｃｒｙｓｔａｌ", "whatsapp:+15550100200", "100% sure_thing about the C:\\invoice"},
		{"Ada", "ada@example.com", "Straße 7, bitte"},
	} {
		h.Clock.Advance(time.Minute)
		names[c.name] = h.Start("support", ofCustomer(c.name, c.address)).Follow()
		names[c.name].Say(c.text)
	}
	for search, want := range map[string]struct {
		name  string
		in    records.MatchKind
		match string
	}{
		"éric":                     {"Éric Müller", records.MatchName, "Éric"},
		" MULLER ":                 {"Éric Müller", records.MatchName, "Müller"},
		"Mu\u0308ller":             {"Éric Müller", records.MatchName, "Müller"},
		"eric.mueller@example.com": {"Éric Müller", records.MatchAddress, "Eric.Mueller@Example.com"},
		"CHARGED  twice":           {"Éric Müller", records.MatchText, "charged twice"},
		"елкин":                    {"Иван Ёлкин", records.MatchName, "Ёлкин"},
		"мой возврат":              {"Иван Ёлкин", records.MatchText, "мой возврат"},
		"+491715550100":            {"Иван Ёлкин", records.MatchAddress, "+49 (0) 171 555-0100"},
		"0049 171 5550100":         {"Иван Ёлкин", records.MatchAddress, "+49 (0) 171 555-0100"},
		"171 555 0100":             {"Иван Ёлкин", records.MatchAddress, "+49 (0) 171 555-0100"},
		"crystal":                  {"Ｃｒｙｓｔａｌ", records.MatchName, "Ｃｒｙｓｔａｌ"},
		"+1 (555) 010-0200":        {"Ｃｒｙｓｔａｌ", records.MatchAddress, "whatsapp:+15550100200"},
		"WhatsApp:+1555":           {"Ｃｒｙｓｔａｌ", records.MatchAddress, "whatsapp:+1555"},
		"100%":                     {"Ｃｒｙｓｔａｌ", records.MatchText, "100%"},
		"sure_thing":               {"Ｃｒｙｓｔａｌ", records.MatchText, "sure_thing"},
		`c:\inv`:                   {"Ｃｒｙｓｔａｌ", records.MatchText, `C:\inv`},
		"STRASSE":                  {"Ada", records.MatchText, "Straße"},
	} {
		found := searchFor(h, search)
		require.Equal(t, []string{names[want.name].SID}, sidsOf(found), search)
		require.Equal(t, want.in, found[0].Excerpt.In, search)
		require.Equal(t, want.match, found[0].Excerpt.Match, search)
		require.Len(t, found[0].Live, 1, search)
	}
	for _, search := range []string{"%", "ch_rged", "charged%twice", "eric ivan", "5550199", "zzz"} {
		want := 0
		if search == "%" { // of "100%"
			want = 1
		}
		require.Len(t, searchFor(h, search), want, search)
	}
	require.Len(t, searchFor(h, ""), 4)
	require.Nil(t, searchFor(h, " \t")[0].Excerpt)

	th := names["Éric Müller"].Accept("alice") // the one who waits longest
	require.Equal(t, []string{th.SID}, findConversations(h, records.Filter{Agent: "alice"}, "eric"))
	require.Empty(t, findConversations(h, records.Filter{Agent: "alice"}, "ada"))
	require.Empty(t, findConversations(h, records.Filter{Status: conversation.ConversationClosed}, "ada"))
	require.Equal(t, []string{names["Ｃｒｙｓｔａｌ"].SID, names["Ada"].SID}, findConversations(h, records.Filter{WaitingLongest: true}, "t"),
		"in the order of the list")
}

func findConversations(h *desktest.Environment, f records.Filter, search string) []string {
	h.T.Helper()
	found, err := records.ConversationPage(h.T.Context(), h.Desk, f, search, desk.Page{})
	require.NoError(h.T, err)
	return sidsOf(found.Entries)
}

// testSearchBySID: every SID of a conversation finds that conversation only.
func testSearchBySID(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	th := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToQueue("billing"), "wants a refund")
	h.Start("support").Follow()
	said := th.Say("hello")
	_, err := records.Say(t.Context(), h.Desk, records.NewMessage{Conversation: th.SID, From: records.FromCustomer, Text: "again", ProviderSID: "SM" + strings.Repeat("A1", 16)})
	require.NoError(t, err)
	member, err := records.AddParticipant(t.Context(), h.Desk, records.Participant{Conversation: th.SID, Identity: "crystal"})
	require.NoError(t, err)
	notes, err := records.ListNotes(t.Context(), h.Desk, th.SID, records.AsSystem())
	require.NoError(t, err)
	sids := []string{
		th.SID, conversation.SameSID(conversation.PrefixInteraction, th.SID), conversation.SameSID(conversation.PrefixInteractionChannel, th.SID),
		conversation.SameSID(conversation.PrefixInvite, th.SID), th.Task().SID, th.Task().Reservation.SID, th.State.Transfers[0].SID,
		said.SID, member.SID, notes[0].SID, "SM" + strings.Repeat("A1", 16),
	}
	for _, sid := range sids {
		for _, written := range []string{sid, "  " + sid + "\n"} {
			found := searchFor(h, written)
			require.Equal(t, []string{th.SID}, sidsOf(found), written)
			require.Equal(t, records.MatchSID, found[0].Excerpt.In)
		}
	}
	require.Len(t, searchFor(h, strings.ToLower(th.SID)), 1)
	require.Empty(t, searchFor(h, "CH"+strings.Repeat("0", 32)))
	require.Empty(t, findConversations(h, records.Filter{Status: conversation.ConversationClosed}, th.SID), "the filters count too")
}

// testSearchPages: the pages of a search have each conversation once, in both directions, also where a page stops
// at its bounds.
func testSearchPages(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "support"))
	var want []string
	for i := range 230 {
		h.Clock.Advance(time.Second)
		name := "Other"
		if i%10 == 0 {
			name = "Crystal"
		}
		th := h.Start("support", ofCustomer(name, "")).Follow()
		if name == "Crystal" {
			want = append(want, th.SID)
		}
	}
	slices.Reverse(want)
	for _, bounds := range [][2]int{{10_000, 50_000}, {40, 1000}} {
		for _, f := range []records.Filter{{}, {WaitingLongest: true}} {
			expected := slices.Clone(want)
			if f.WaitingLongest {
				slices.Reverse(expected)
			}
			var forth, back []string
			var p desk.Page
			for p.Limit = 4; ; p.Limit = 4 {
				found, err := records.ConversationPageWithin(t.Context(), h.Desk, f, "crystal", p, bounds)
				require.NoError(t, err)
				require.LessOrEqual(t, len(found.Entries), 4)
				require.Equal(t, p.After != nil, found.Earlier)
				forth = append(forth, sidsOf(found.Entries)...)
				if !found.More {
					p = desk.Page{Before: &found.First}
					back = slices.Clone(sidsOf(found.Entries))
					break
				}
				p = desk.Page{After: &found.Last}
			}
			require.Equal(t, expected, forth)
			for p.Limit = 4; ; p.Limit = 4 {
				found, err := records.ConversationPageWithin(t.Context(), h.Desk, f, "crystal", p, bounds)
				require.NoError(t, err)
				back = append(sidsOf(found.Entries), back...)
				if !found.Earlier {
					break
				}
				p = desk.Page{Before: &found.First}
			}
			require.Equal(t, expected, back)
		}
	}
	found, err := records.ConversationPageWithin(t.Context(), h.Desk, records.Filter{}, "nothing like it", desk.Page{}, [2]int{40, 1000})
	require.NoError(t, err)
	require.True(t, found.Bounded)
	require.Equal(t, 100, found.Searched)
	require.True(t, found.More, "what is left can be searched")

	other, err := records.ConversationPageWithin(t.Context(), h.Desk, records.Filter{}, "", desk.Page{Limit: 2, Skip: 1}, [2]int{40, 1000})
	require.NoError(t, err)
	require.Len(t, other.Entries, 2)
}

// testSearchRefusals: a search without searchable text is refused with a sentence.
func testSearchRefusals(t *testing.T, h *desktest.Environment) {
	for search, sentence := range map[string]string{
		strings.Repeat("é", records.MaxSearch+1): "search for a shorter text",
		"\u200b\u202e": "at least one letter or digit",
		"a\x00b":       "not valid UTF-8",
		"\xff":         "not valid UTF-8",
	} {
		_, err := records.ConversationPage(t.Context(), h.Desk, records.Filter{}, search, desk.Page{})
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), search)
		require.ErrorContains(t, err, sentence)
	}
	require.Empty(t, searchFor(h, strings.Repeat("é", records.MaxSearch)))
}

// testSearchErased: a changed, removed or erased text is no longer found.
func testSearchErased(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support", ofCustomer("Zoe", "zoe@example.com")).Follow().Accept("alice")
	first, second := th.Say("the red one"), th.Say("the blue one")
	_, err := records.AddParticipant(t.Context(), h.Desk, records.Participant{Conversation: th.SID, Address: "+1 555 0100"})
	require.NoError(t, err)
	require.Equal(t, second.SID, searchFor(h, "one")[0].Excerpt.Message, "the newest message is shown")
	_, err = records.UpdateMessage(t.Context(), h.Desk, th.SID, first.SID, records.MessageChange{Text: new("the green one")})
	require.NoError(t, err)
	require.NoError(t, records.RemoveMessage(t.Context(), h.Desk, th.SID, second.SID))
	for search, many := range map[string]int{"red": 0, "blue": 0, "green": 1, "zoe": 1, "15550100": 1} {
		require.Len(t, searchFor(h, search), many, search)
	}
	th.End("alice").WrapUp("alice")
	_, err = records.Erase(t.Context(), h.Desk, []string{th.SID}, false)
	require.NoError(t, err)
	for _, search := range []string{"green", "zoe", "example.com", "15550100", "erased"} {
		require.Empty(t, searchFor(h, search), search)
	}
	require.Len(t, searchFor(h, th.SID), 1)
}

// testExcerpt: a long text is cut around the match.
func testExcerpt(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "support"))
	th := h.Start("support").Follow()
	said := th.Say(strings.Repeat("before ", 500) + "a\nRÉFUND\u202e" + strings.Repeat(" after", 500))
	e := searchFor(h, "refund")[0].Excerpt
	require.Equal(t, "RÉFUND", e.Match)
	require.True(t, strings.HasPrefix(e.Before, "…") && strings.HasSuffix(e.Before, "before a "), e.Before)
	require.True(t, strings.HasPrefix(e.After, " after") && strings.HasSuffix(e.After, "…"), e.After)
	require.Equal(t, []any{said.SID, records.FromCustomer, said.At}, []any{e.Message, e.From, e.At})
}

// BenchmarkSearch measures a search without results, at a desk of 20,000 conversations with five messages each.
func BenchmarkSearch(b *testing.B) {
	for _, kind := range []string{"clear", "encrypted"} {
		b.Run("sqlite "+kind, func(b *testing.B) {
			h := &desktest.Environment{T: b, Database: desktest.SQLite(b), Clock: desktest.NewClock()}
			if kind == "encrypted" {
				h.Cipher = desktest.KeyRing(b, desktest.Key(b, "first"))
			}
			h.Desk = h.Reopen()
			benchmarkSearch(b, h)
		})
	}
}

func benchmarkSearch(b *testing.B, h *desktest.Environment) {
	b.Helper()
	fillTranscripts(h, 2000, 5)
	for _, search := range []string{"nothing like it", "nichts für mich"} {
		b.Run(search, func(b *testing.B) {
			for range b.N {
				found, err := records.ConversationPageWithin(b.Context(), h.Desk, records.Filter{}, search, desk.Page{}, [2]int{20_000, 1_000_000})
				require.NoError(b, err)
				require.Empty(b, found.Entries)
				b.ReportMetric(float64(found.Searched), "conversations")
			}
		})
	}
}

// fillTranscripts creates conversations with transcripts.
func fillTranscripts(h *desktest.Environment, conversations, messages int) {
	h.T.Helper()
	require.NoError(h.T, people.AddQueue(h.T.Context(), h.Desk, "support"))
	for n := range conversations {
		h.Clock.Advance(time.Second)
		th := h.Start("support", ofCustomer("Customer Number "+strconv.Itoa(n), fmt.Sprintf("+1 555 %07d", n)))
		th.Sync()
		for m := range messages {
			text := "I was charged twice for order 3348917502, and I would like to have the second payment back as soon as you can."
			if m%2 == 1 {
				text = "Ich wurde für die Bestellung zweimal belastet und möchte bitte die zweite Zahlung zurückbekommen – möglichst bald."
			}
			th.Say(text)
		}
	}
}
