package desk

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

func ofCustomer(name, address string) func(*conversation.StartCommand) {
	return func(c *conversation.StartCommand) { c.Customer = conversation.Customer{Name: name, Address: address} }
}

// says adds a message of the customer to the conversation.
func (th *thread) says(text string) Message {
	th.h.t.Helper()
	said, err := th.h.Say(th.h.t.Context(), NewMessage{Conversation: th.sid, From: FromCustomer, Text: text})
	require.NoError(th.h.t, err)
	return said
}

// searches returns the page of a search without a filter.
func (h *house) searches(search string) []Match {
	h.t.Helper()
	found, err := h.ConversationPage(h.t.Context(), Filter{}, search, Page{})
	require.NoError(h.t, err, search)
	return found.Entries
}

func sidsOf(matches []Match) []string {
	sids := []string{}
	for _, m := range matches {
		sids = append(sids, m.SID)
	}
	return sids
}

// testSearchConversations: supervisors find conversations by the customer's name and address and by the text of
// messages.
func testSearchConversations(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice")
	names := map[string]*thread{}
	for _, c := range []struct{ name, address, text string }{
		{"Éric Müller", "Eric.Mueller@Example.com", "I was charged twice."},
		{"Иван Ёлкин", "+49 (0) 171 555-0100", "Где мой\nвозврат?"},
		{"Ｃｒｙｓｔａｌ", "whatsapp:+15550100200", "100% sure_thing about the C:\\invoice"},
		{"Ada", "ada@example.com", "Straße 7, bitte"},
	} {
		h.clock.advance(time.Minute)
		names[c.name] = h.start("support", ofCustomer(c.name, c.address)).follow()
		names[c.name].says(c.text)
	}
	for search, want := range map[string]struct {
		name  string
		in    MatchKind
		match string
	}{
		"éric":                     {"Éric Müller", MatchName, "Éric"},
		" MULLER ":                 {"Éric Müller", MatchName, "Müller"},
		"Mu\u0308ller":             {"Éric Müller", MatchName, "Müller"},
		"eric.mueller@example.com": {"Éric Müller", MatchAddress, "Eric.Mueller@Example.com"},
		"CHARGED  twice":           {"Éric Müller", MatchText, "charged twice"},
		"елкин":                    {"Иван Ёлкин", MatchName, "Ёлкин"},
		"мой возврат":              {"Иван Ёлкин", MatchText, "мой возврат"},
		"+491715550100":            {"Иван Ёлкин", MatchAddress, "+49 (0) 171 555-0100"},
		"0049 171 5550100":         {"Иван Ёлкин", MatchAddress, "+49 (0) 171 555-0100"},
		"171 555 0100":             {"Иван Ёлкин", MatchAddress, "+49 (0) 171 555-0100"},
		"crystal":                  {"Ｃｒｙｓｔａｌ", MatchName, "Ｃｒｙｓｔａｌ"},
		"+1 (555) 010-0200":        {"Ｃｒｙｓｔａｌ", MatchAddress, "whatsapp:+15550100200"},
		"WhatsApp:+1555":           {"Ｃｒｙｓｔａｌ", MatchAddress, "whatsapp:+1555"},
		"100%":                     {"Ｃｒｙｓｔａｌ", MatchText, "100%"},
		"sure_thing":               {"Ｃｒｙｓｔａｌ", MatchText, "sure_thing"},
		`c:\inv`:                   {"Ｃｒｙｓｔａｌ", MatchText, `C:\inv`},
		"STRASSE":                  {"Ada", MatchText, "Straße"},
	} {
		found := h.searches(search)
		require.Equal(t, []string{names[want.name].sid}, sidsOf(found), search)
		require.Equal(t, want.in, found[0].Excerpt.In, search)
		require.Equal(t, want.match, found[0].Excerpt.Match, search)
		require.Len(t, found[0].Live, 1, search)
	}
	for _, search := range []string{"%", "ch_rged", "charged%twice", "eric ivan", "5550199", "zzz"} {
		want := 0
		if search == "%" { // of "100%"
			want = 1
		}
		require.Len(t, h.searches(search), want, search)
	}
	require.Len(t, h.searches(""), 4)
	require.Nil(t, h.searches(" \t")[0].Excerpt)

	th := names["Éric Müller"].accept("alice") // the one who waits longest
	require.Equal(t, []string{th.sid}, h.found(Filter{Agent: "alice"}, "eric"))
	require.Empty(t, h.found(Filter{Agent: "alice"}, "ada"))
	require.Empty(t, h.found(Filter{Status: conversation.ConversationClosed}, "ada"))
	require.Equal(t, []string{names["Ｃｒｙｓｔａｌ"].sid, names["Ada"].sid}, h.found(Filter{WaitingLongest: true}, "t"),
		"in the order of the list")
}

func (h *house) found(f Filter, search string) []string {
	h.t.Helper()
	found, err := h.ConversationPage(h.t.Context(), f, search, Page{})
	require.NoError(h.t, err)
	return sidsOf(found.Entries)
}

// testSearchBySID: every SID of a conversation finds that conversation only.
func testSearchBySID(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice")
	h.staff("billing", "bob")
	th := h.start("support").follow().accept("alice").transfer("alice", toQueue("billing"), "wants a refund")
	h.start("support").follow()
	said := th.says("hello")
	_, err := h.Say(t.Context(), NewMessage{Conversation: th.sid, From: FromCustomer, Text: "again", ProviderSID: "SM" + strings.Repeat("A1", 16)})
	require.NoError(t, err)
	member, err := h.AddParticipant(t.Context(), Participant{Conversation: th.sid, Identity: "crystal"})
	require.NoError(t, err)
	notes, err := h.Notes(t.Context(), th.sid, AsSystem())
	require.NoError(t, err)
	sids := []string{
		th.sid, conversation.SameSID(conversation.PrefixInteraction, th.sid), conversation.SameSID(conversation.PrefixInteractionChannel, th.sid),
		conversation.SameSID(conversation.PrefixInvite, th.sid), th.task().SID, th.task().Reservation.SID, th.state.Transfers[0].SID,
		said.SID, member.SID, notes[0].SID, "SM" + strings.Repeat("A1", 16),
	}
	for _, sid := range sids {
		for _, written := range []string{sid, "  " + sid + "\n"} {
			found := h.searches(written)
			require.Equal(t, []string{th.sid}, sidsOf(found), written)
			require.Equal(t, MatchSID, found[0].Excerpt.In)
		}
	}
	require.Len(t, h.searches(strings.ToLower(th.sid)), 1)
	require.Empty(t, h.searches("CH"+strings.Repeat("0", 32)))
	require.Empty(t, h.found(Filter{Status: conversation.ConversationClosed}, th.sid), "the filters count too")
}

// testSearchPages: the pages of a search have each conversation once, in both directions, also where a page stops
// at its bounds.
func testSearchPages(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(t.Context(), "support"))
	var want []string
	for i := range 230 {
		h.clock.advance(time.Second)
		name := "Other"
		if i%10 == 0 {
			name = "Crystal"
		}
		th := h.start("support", ofCustomer(name, "")).follow()
		if name == "Crystal" {
			want = append(want, th.sid)
		}
	}
	slices.Reverse(want)
	for _, bounds := range []searchBounds{defaultSearchBounds(), {conversations: 40, messages: 1000}} {
		h.searchBounds = bounds
		for _, f := range []Filter{{}, {WaitingLongest: true}} {
			expected := slices.Clone(want)
			if f.WaitingLongest {
				slices.Reverse(expected)
			}
			var forth, back []string
			var p Page
			for p.Limit = 4; ; p.Limit = 4 {
				found, err := h.ConversationPage(t.Context(), f, "crystal", p)
				require.NoError(t, err)
				require.LessOrEqual(t, len(found.Entries), 4)
				require.Equal(t, p.After != nil, found.Earlier)
				forth = append(forth, sidsOf(found.Entries)...)
				if !found.More {
					p = Page{Before: &found.First}
					back = slices.Clone(sidsOf(found.Entries))
					break
				}
				p = Page{After: &found.Last}
			}
			require.Equal(t, expected, forth)
			for p.Limit = 4; ; p.Limit = 4 {
				found, err := h.ConversationPage(t.Context(), f, "crystal", p)
				require.NoError(t, err)
				back = append(sidsOf(found.Entries), back...)
				if !found.Earlier {
					break
				}
				p = Page{Before: &found.First}
			}
			require.Equal(t, expected, back)
		}
	}
	found, err := h.ConversationPage(t.Context(), Filter{}, "nothing like it", Page{})
	require.NoError(t, err)
	require.True(t, found.Bounded)
	require.Equal(t, 100, found.Searched)
	require.True(t, found.More, "what is left can be searched")

	other, err := h.ConversationPage(t.Context(), Filter{}, "", Page{Limit: 2, Skip: 1})
	require.NoError(t, err)
	require.Len(t, other.Entries, 2)
}

// testSearchRefusals: a search without searchable text is refused with a sentence.
func testSearchRefusals(t *testing.T, h *house) {
	for search, sentence := range map[string]string{
		strings.Repeat("é", MaxSearch+1): "search for a shorter text",
		"\u200b\u202e":                   "at least one letter or digit",
		"a\x00b":                         "not valid UTF-8",
		"\xff":                           "not valid UTF-8",
	} {
		_, err := h.ConversationPage(t.Context(), Filter{}, search, Page{})
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), search)
		require.ErrorContains(t, err, sentence)
	}
	_, err := h.ConversationPage(t.Context(), Filter{Limit: 1}, "", Page{})
	require.ErrorContains(t, err, "set them in the page")
	require.Empty(t, h.searches(strings.Repeat("é", MaxSearch)))
}

// testSearchErased: a changed, removed or erased text is no longer found.
func testSearchErased(t *testing.T, h *house) {
	h.staff("support", "alice")
	th := h.start("support", ofCustomer("Zoe", "zoe@example.com")).follow().accept("alice")
	first, second := th.says("the red one"), th.says("the blue one")
	_, err := h.AddParticipant(t.Context(), Participant{Conversation: th.sid, Address: "+1 555 0100"})
	require.NoError(t, err)
	require.Equal(t, second.SID, h.searches("one")[0].Excerpt.Message, "the newest message is shown")
	_, err = h.UpdateMessage(t.Context(), th.sid, first.SID, MessageChange{Text: new("the green one")})
	require.NoError(t, err)
	require.NoError(t, h.RemoveMessage(t.Context(), th.sid, second.SID))
	for search, many := range map[string]int{"red": 0, "blue": 0, "green": 1, "zoe": 1, "15550100": 1} {
		require.Len(t, h.searches(search), many, search)
	}
	th.end("alice").wrapup("alice")
	_, err = h.Erase(t.Context(), []string{th.sid}, false)
	require.NoError(t, err)
	for _, search := range []string{"green", "zoe", "example.com", "15550100", "erased"} {
		require.Empty(t, h.searches(search), search)
	}
	require.Len(t, h.searches(th.sid), 1)
}

// testExcerpt: a long text is cut around the match.
func testExcerpt(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(t.Context(), "support"))
	th := h.start("support").follow()
	said := th.says(strings.Repeat("before ", 500) + "a\nRÉFUND\u202e" + strings.Repeat(" after", 500))
	e := h.searches("refund")[0].Excerpt
	require.Equal(t, "RÉFUND", e.Match)
	require.True(t, strings.HasPrefix(e.Before, "…") && strings.HasSuffix(e.Before, "before a "), e.Before)
	require.True(t, strings.HasPrefix(e.After, " after") && strings.HasSuffix(e.After, "…"), e.After)
	require.Equal(t, []any{said.SID, FromCustomer, said.At}, []any{e.Message, e.From, e.At})
}

// BenchmarkSearch measures a search without results, at a desk of 20,000 conversations with five messages each.
func BenchmarkSearch(b *testing.B) {
	for _, kind := range []string{"clear", "encrypted"} {
		b.Run("sqlite "+kind, func(b *testing.B) {
			h := &house{t: b, database: "sqlite:" + filepath.Join(b.TempDir(), "desk.db"), clock: newClock()}
			if kind == "encrypted" {
				h.cipher = keyRing(b, testKey(b, "first"))
			}
			h.Desk = h.open()
			benchmarkSearch(b, h)
		})
	}
}

func benchmarkSearch(b *testing.B, h *house) {
	b.Helper()
	h.fillTranscripts(20_000, 5)
	h.searchBounds = searchBounds{conversations: 20_000, messages: 1_000_000}
	for _, search := range []string{"nothing like it", "nichts für mich"} {
		b.Run(search, func(b *testing.B) {
			for range b.N {
				found, err := h.ConversationPage(b.Context(), Filter{}, search, Page{})
				require.NoError(b, err)
				require.Empty(b, found.Entries)
				b.ReportMetric(float64(found.Searched), "conversations")
			}
		})
	}
}

// fillTranscripts creates conversations with transcripts.
func (h *house) fillTranscripts(conversations, messages int) {
	h.t.Helper()
	require.NoError(h.t, h.AddQueue(h.t.Context(), "support"))
	for batch := range slices.Chunk(make([]struct{}, conversations), 500) {
		require.NoError(h.t, h.exclusiveTx(h.t.Context(), "fill the desk", func(t *transaction) error {
			for n := range batch {
				h.clock.advance(time.Second)
				var state conversation.State
				result, err := state.Apply(conversation.StartCommand{
					Conversation: newSID(), Channel: conversation.ChannelWeb, Queue: "support",
					Customer: conversation.Customer{Name: "Customer Number " + strconv.Itoa(n), Address: fmt.Sprintf("+1 555 %07d", n)},
				}, &conversation.Facts{Settings: conversation.DefaultSettings(), QueueKnown: true}, h.clock.now())
				if err != nil {
					return err
				}
				s := &syncing{transaction: t, snapshot: state.Snapshot(result.Events, result.Notes), now: h.clock.now()}
				if _, err := s.run(h.t.Context()); err != nil {
					return err
				}
				for m := range messages {
					text := "I was charged twice for order 3348917502, and I would like to have the second payment back as soon as you can."
					if m%2 == 1 {
						text = "Ich wurde für die Bestellung zweimal belastet und möchte bitte die zweite Zahlung zurückbekommen – möglichst bald."
					}
					if _, err := t.say(h.t.Context(), NewMessage{Conversation: state.Conversation, From: FromCustomer, Text: text}, h.clock.now()); err != nil {
						return err
					}
				}
			}
			return nil
		}))
	}
}
