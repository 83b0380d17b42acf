package desk_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// reopenWith closes the desk and opens it with the cipher.
func reopenWith(h *desktest.Environment, cipher desk.Cipher) *desktest.Environment {
	h.T.Helper()
	other := &desktest.Environment{T: h.T, Database: h.Database, Clock: h.Clock, Cipher: cipher}
	other.Desk = other.Reopen()
	return other
}

// An encrypted desk cannot be opened without keys, because new texts would be stored clear.
func TestASealedDeskIsOpenedWithKeysOnly(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]desk.Cipher{"sealed from the beginning": desktest.KeyRing(t, desktest.Key(t, "k")), "sealed since": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &desktest.Environment{T: t, Database: desktest.SQLite(t), Clock: desktest.NewClock(), Cipher: first}
			h.Desk = h.Reopen()
			if first == nil {
				h = reopenWith(h, desktest.KeyRing(t, desktest.Key(t, "later")))
			}
			h.Staff("support", "alice")
			h.Start("support").Follow()
			for _, without := range []desk.Cipher{nil, desktest.KeyRing(t)} {
				_, err := desk.Open(t.Context(), h.Database, desk.Options{Cipher: without})
				require.ErrorContains(t, err, "set BATON_ENCRYPTION_KEYS")
			}
			_, err := people.ListAgents(t.Context(), h.Desk)
			require.NoError(t, err, "a desk with the keys continues")
		})
	}
}

// words are texts and secrets, one for each column that contains such texts.
type words struct{ all []string }

func (w *words) of(column string) string {
	word := "zq" + strings.ReplaceAll(column, ".", "") + "qz"
	w.all = append(w.all, word)
	return word
}

func (w *words) attributes(column string) string { return fmt.Sprintf(`{"word":%q}`, w.of(column)) }

// everythingWritten fills every sealed column. It returns the words, and the conversations that contain them: a
// closed one and a draft.
func everythingWritten(t *testing.T, h *desktest.Environment) (*words, *desktest.Conversation, string) {
	t.Helper()
	w := &words{}
	ctx := t.Context()
	h.TransfersOn()
	h.Staff("support", "alice", "bob")
	th := h.Start("support", func(c *conversation.StartCommand) {
		c.Customer = conversation.Customer{Name: w.of("conversations.customer_name"), Address: w.of("conversations.customer_address")}
		c.Attributes = conversation.Attributes{"word": []byte(fmt.Sprintf("%q", w.of("tasks.attributes")))}
	}).Follow()
	th.Do(conversation.DeclineCommand{Agent: th.Task().Agent, Reason: w.of("reservations.reason")})
	th.Follow()
	who := th.Task().Agent
	th.Accept(who)
	message, err := records.Say(ctx, h.Desk, records.NewMessage{
		Conversation: th.SID, From: records.FromCustomer, Text: w.of("messages.text"), Identity: w.of("messages.identity"),
		Attributes: w.attributes("messages.attributes"),
	})
	require.NoError(t, err)
	_, err = records.StoreNote(ctx, h.Desk, th.SID, who, w.of("notes.text"))
	require.NoError(t, err)
	_, err = records.SetDetails(ctx, h.Desk, th.SID, func(d *records.Details) {
		d.FriendlyName, d.UniqueName = w.of("conversation_details.friendly_name"), w.of("conversation_details.unique_name")
		d.Attributes = w.attributes("conversation_details.attributes")
		d.ContextSID, d.WebhookTTID = w.of("conversation_details.context_sid"), w.of("conversation_details.webhook_ttid")
	})
	require.NoError(t, err)
	_, err = records.AddParticipant(ctx, h.Desk, records.Participant{
		Conversation: th.SID, Address: w.of("participants.address"), ProxyAddress: w.of("participants.proxy_address"), Attributes: w.attributes("participants.attributes"),
	})
	require.NoError(t, err)
	_, err = records.AddParticipant(ctx, h.Desk, records.Participant{Conversation: th.SID, Identity: w.of("participants.identity")})
	require.NoError(t, err)
	account, err := access.SetWorkspace(ctx, h.Desk, func(s *access.Workspace) {
		s.EventCallbackURL = "https://example.com/" + w.of("account.event_callback_url")
	})
	require.NoError(t, err)
	_, webhook, err := access.RenewWebhookSecret(ctx, h.Desk, 0)
	require.NoError(t, err)
	_, next, err := access.RenewWebhookSecret(ctx, h.Desk, time.Hour)
	require.NoError(t, err)
	w.all = append(w.all, account.AuthToken, webhook, next)
	require.NoError(t, desk.KeepAnswer(ctx, h.Desk, "token", desk.Answer{Request: "r", Status: 200, ETag: "e", Body: fmt.Sprintf(`{"sid":%q,"text":%q}`, message.SID, w.of("answers.body"))}))
	require.NoError(t, desk.KeepAnswer(ctx, h.Desk, "other", desk.Answer{Request: "r", Status: 200, Body: `"of another"`}))
	require.NoError(t, access.NewSessions(h.Desk).Commit("session", []byte(w.of("sessions.data")), h.Clock.Now().Add(time.Hour)))
	th.End(who)
	th.Do(conversation.WrapupCommand{Agent: who, Disposition: w.of("tasks.disposition"), Note: w.of("tasks.wrapup_note")})
	th.Follow()
	draft, err := records.OpenDraft(ctx, h.Desk, records.Draft{Channel: conversation.ChannelWeb, Customer: conversation.Customer{Name: w.of("a draft's customer"), Address: "conversations.customer_address"}})
	require.NoError(t, err)
	return w, th, draft
}

// bytesOf returns the contents of the database's files on disk.
func bytesOf(t testing.TB, database string) string {
	t.Helper()
	path := strings.TrimPrefix(database, "sqlite:")
	var all []byte
	for _, file := range []string{path, path + "-wal"} {
		read, err := os.ReadFile(file)
		if !os.IsNotExist(err) {
			require.NoError(t, err)
		}
		all = append(all, read...)
	}
	return string(all)
}

func (w *words) in(text string) []string {
	return slices.DeleteFunc(slices.Clone(w.all), func(word string) bool { return !strings.Contains(text, word) })
}

// written returns everything sealed, as it is read back.
func written(t testing.TB, h *desktest.Environment, sid string) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	thread, err := records.ReadThread(ctx, h.Desk, sid, records.AsSystem(), records.Window{Limit: 100})
	require.NoError(t, err)
	tasks, err := records.ListTasks(ctx, h.Desk, sid)
	require.NoError(t, err)
	reservations, err := records.ListReservations(ctx, h.Desk, sid)
	require.NoError(t, err)
	details, err := records.ReadDetails(ctx, h.Desk, sid)
	require.NoError(t, err)
	participants, err := records.ListParticipants(ctx, h.Desk, sid)
	require.NoError(t, err)
	account, err := access.ReadAccount(ctx, h.Desk)
	require.NoError(t, err)
	answer, err := desk.BeginAnswer(ctx, h.Desk, "token", "r")
	require.NoError(t, err)
	session, _, err := access.NewSessions(h.Desk).Find("session")
	require.NoError(t, err)
	var attributes strings.Builder
	for _, task := range tasks {
		attributes.Write(task.Attributes["word"])
	}
	all := fmt.Sprintf("%+v %+v %+v %+v %+v %+v %+v %s %s", thread, tasks, reservations, details, participants, account, answer, session, attributes.String())
	return pointers.ReplaceAllString(all, "")
}

var pointers = regexp.MustCompile(`0x[0-9a-f]+`)

func TestNothingWrittenIsReadableInASealedDesk(t *testing.T) {
	t.Parallel()
	plain := desktest.New(t, desktest.SQLite(t))
	w, th, _ := everythingWritten(t, plain)
	found := w.in(bytesOf(t, plain.Database))
	require.Len(t, found, len(w.all)-1, "the session's data is in base64; else the search below would prove nothing")
	readable := slices.DeleteFunc(slices.Clone(w.all), func(word string) bool { return strings.Contains(word, "draft") })
	require.Equal(t, readable, (&words{readable}).in(written(t, plain, th.SID)))

	first, second := desktest.Key(t, "first"), desktest.Key(t, "second")
	encrypted := &desktest.Environment{T: t, Database: desktest.SQLite(t), Clock: desktest.NewClock(), Cipher: desktest.KeyRing(t, first)}
	encrypted.Desk = encrypted.Reopen()
	w, th, _ = everythingWritten(t, encrypted)
	require.Empty(t, w.in(bytesOf(t, encrypted.Database)))
	readable = slices.DeleteFunc(slices.Clone(w.all), func(word string) bool { return strings.Contains(word, "draft") })
	require.Equal(t, readable, (&words{readable}).in(written(t, encrypted, th.SID)))

	// Every sealed column has contents, so the search above covered all of them.
	for _, c := range desk.SealedColumns {
		texts, err := columnTexts(encrypted, c)
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, "enc:v1:first.") }), "%s: %q", c, texts)
	}

	// With another key nothing can be read, and the error names the missing key.
	stranger := reopenWith(encrypted, desktest.KeyRing(t, second))
	_, err := records.ReadTranscript(t.Context(), stranger.Desk, th.SID, records.AsSystem())
	require.ErrorContains(t, err, `the key "first"`)
	_, err = desk.Open(t.Context(), encrypted.Database, desk.Options{})
	require.ErrorContains(t, err, "BATON_ENCRYPTION_KEYS")

	// A sealed text is bound to its row.
	require.NoError(t, encrypted.ExclusiveTx(t.Context(), "swap two texts", func(tx *desk.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE conversations SET customer_name = (SELECT text FROM messages LIMIT 1) WHERE sid = $1`, th.SID)
		return err
	}))
	_, err = records.FindConversation(t.Context(), encrypted.Desk, th.SID)
	require.ErrorContains(t, err, "changed or moved")
}

func columnTexts(h *desktest.Environment, c sqldb.Column) (texts []string, err error) {
	err = h.ReadTx(context.Background(), "read a column", func(tx *desk.Tx) error {
		texts, err = sqldb.All(context.Background(), tx, sqldb.Value[string], `SELECT `+c.Name+` FROM `+c.Table)
		return err
	})
	return texts, err
}

func TestADeskIsSealedLaterAndItsKeyReplaced(t *testing.T) {
	t.Parallel()
	plain := desktest.New(t, desktest.SQLite(t))
	w, th, _ := everythingWritten(t, plain)
	before := written(t, plain, th.SID)
	_, _, err := desk.Reseal(t.Context(), plain.Desk)
	require.ErrorContains(t, err, "baton keyring new")

	first, second := desktest.Key(t, "first"), desktest.Key(t, "second")
	h := reopenWith(plain, desktest.KeyRing(t, first))
	require.Equal(t, before, written(t, h, th.SID), "what was clear is still read")
	byName, err := records.ConversationNamed(t.Context(), h.Desk, "zqconversation_detailsunique_nameqz")
	require.NoError(t, err)
	require.Equal(t, th.SID, byName)
	sealed, left, err := desk.Reseal(t.Context(), h.Desk)
	require.NoError(t, err)
	require.Empty(t, left)
	require.Greater(t, sealed, len(desk.SealedColumns))
	require.Equal(t, before, written(t, h, th.SID))
	require.Empty(t, w.in(bytesOf(t, h.Database)), "nor do the file's free pages keep anything")
	again, _, err := desk.Reseal(t.Context(), h.Desk)
	require.NoError(t, err)
	require.Zero(t, again)

	rotated := reopenWith(plain, desktest.KeyRing(t, second, first))
	require.Equal(t, before, written(t, rotated, th.SID))
	byName, err = records.ConversationNamed(t.Context(), rotated.Desk, "zqconversation_detailsunique_nameqz")
	require.NoError(t, err)
	require.Equal(t, th.SID, byName)
	count, _, err := desk.Reseal(t.Context(), rotated.Desk)
	require.NoError(t, err)
	require.Equal(t, sealed, count)
	only := reopenWith(plain, desktest.KeyRing(t, second))
	require.Equal(t, before, written(t, only, th.SID))
	of, err := records.ConversationsOf(t.Context(), only.Desk, "zqconversationscustomer_addressqz")
	require.NoError(t, err)
	require.Equal(t, []string{th.SID}, of)
}

// testSealing checks, for each database, a desk that is sealed later, whose key is then replaced, and whose
// customers are erased.
func testSealing(t *testing.T, plain *desktest.Environment) {
	w, th, draft := everythingWritten(t, plain)
	before := written(t, plain, th.SID)
	first, second := desktest.Key(t, "first"), desktest.Key(t, "second")
	_, _, err := desk.Reseal(t.Context(), reopenWith(plain, desktest.KeyRing(t, first)).Desk)
	require.NoError(t, err)
	rotated := reopenWith(plain, desktest.KeyRing(t, second, first))
	require.Equal(t, before, written(t, rotated, th.SID))
	_, _, err = desk.Reseal(t.Context(), rotated.Desk)
	require.NoError(t, err)
	only := reopenWith(plain, desktest.KeyRing(t, second))
	require.Equal(t, before, written(t, only, th.SID))
	for _, c := range desk.SealedColumns {
		texts, err := columnTexts(only, c)
		require.NoError(t, err)
		require.Empty(t, w.in(strings.Join(texts, " ")), "%s", c)
	}
	of, err := records.ConversationsOf(t.Context(), only.Desk, "zqconversationscustomer_addressqz")
	require.NoError(t, err)
	require.Equal(t, []string{th.SID}, of)
	erased, err := records.Erase(t.Context(), only.Desk, []string{th.SID, draft}, false)
	require.NoError(t, err)
	require.Equal(t, 1, erased.Answers)
	kept := written(t, only, th.SID)
	for _, word := range w.all {
		if strings.HasPrefix(word, "zq") && !strings.Contains(word, "sessions") && !strings.Contains(word, "account") {
			require.NotContains(t, kept, word)
		}
	}
}

// A text that looks sealed is read back as it was written.
func TestTextsThatLookSealed(t *testing.T) {
	t.Parallel()
	for name, cipher := range map[string]desk.Cipher{"clear": nil, "sealed": desktest.KeyRing(t, desktest.Key(t, "k"))} {
		h := &desktest.Environment{T: t, Database: "sqlite:" + filepath.Join(t.TempDir(), name+".db"), Clock: desktest.NewClock(), Cipher: cipher}
		h.Desk = h.Reopen()
		h.Staff("support", "alice")
		th := h.Start("support").Follow()
		for _, text := range []string{"enc:v1:k.00000000:AAAA", "enc:v0:", "enc:v0:enc:v1:x", "{}"} {
			said, err := records.Say(t.Context(), h.Desk, records.NewMessage{Conversation: th.SID, From: records.FromCustomer, Text: text})
			require.NoError(t, err)
			read, err := records.FindMessage(t.Context(), h.Desk, th.SID, said.SID, records.AsSystem())
			require.NoError(t, err)
			require.Equal(t, text, read.Text)
		}
	}
}

func TestErase(t *testing.T) {
	t.Parallel()
	for name, cipher := range map[string]desk.Cipher{"clear": nil, "sealed": desktest.KeyRing(t, desktest.Key(t, "k"))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &desktest.Environment{T: t, Database: "sqlite:" + filepath.Join(t.TempDir(), name+".db"), Clock: desktest.NewClock(), Cipher: cipher}
			h.Desk = h.Reopen()
			w, th, draft := everythingWritten(t, h)
			other := h.Start("support").Follow()
			ctx := desk.WithActor(t.Context(), "carol")

			_, err := records.Erase(ctx, h.Desk, []string{th.SID, other.SID}, false)
			require.ErrorContains(t, err, other.SID)
			require.NotContains(t, err.Error(), th.SID)
			both, err := records.Erase(ctx, h.Desk, []string{th.SID, other.SID}, true)
			require.NoError(t, err, "a dry run shows what is open as well")
			require.Equal(t, []bool{false, true}, []bool{both.Conversations[0].Open, both.Conversations[1].Open})
			require.ErrorContains(t, both.RefuseOpen(), other.SID)
			for _, address := range []string{"zqconversationscustomer_addressqz", "zqparticipantsaddressqz", "zqparticipantsidentityqz"} {
				of, err := records.ConversationsOf(ctx, h.Desk, address)
				require.NoError(t, err)
				require.Equal(t, []string{th.SID}, of, address)
			}
			for _, address := range []string{"ZQConversationsCustomer_AddressQZ", " zqparticipantsaddressqz\n", "mailto:ZQparticipantsidentityqz"} {
				of, err := records.ConversationsOf(ctx, h.Desk, address)
				require.NoError(t, err)
				require.Equal(t, []string{th.SID}, of, address)
			}
			for _, address := range []string{"", " ", "[erased]"} {
				of, err := records.ConversationsOf(ctx, h.Desk, address)
				require.NoError(t, err)
				require.Empty(t, of, address)
			}
			none, err := records.ConversationsOf(ctx, h.Desk, "zqconversationscustomer_addressq")
			require.NoError(t, err)
			require.Empty(t, none)

			before := written(t, h, th.SID)
			planned, err := records.Erase(ctx, h.Desk, []string{th.SID, draft}, true)
			require.NoError(t, err)
			require.Equal(t, before, written(t, h, th.SID), "a dry run changes nothing")
			done, err := records.Erase(ctx, h.Desk, []string{th.SID, draft}, false)
			require.NoError(t, err)
			require.Equal(t, planned, done)
			require.Equal(t, records.ErasedConversation{SID: th.SID, ClosedAt: done.Conversations[0].ClosedAt, Messages: 1, Notes: 2, Tasks: 1, Participants: 2}, done.Conversations[0])
			require.Equal(t, 1, done.Answers)

			gone := slices.DeleteFunc(slices.Clone(w.all), func(word string) bool {
				return strings.Contains(word, "sessions") || strings.Contains(word, "account") || !strings.HasPrefix(word, "zq")
			})
			require.Empty(t, (&words{gone}).in(written(t, h, th.SID)))
			require.Empty(t, (&words{gone}).in(bytesOf(t, h.Database)), "nor do the file's free pages keep anything")
			erasedDraft, err := records.FindConversation(ctx, h.Desk, draft)
			require.NoError(t, err)
			require.Equal(t, conversation.ConversationClosed, erasedDraft.Status)
			kept, err := desk.BeginAnswer(ctx, h.Desk, "other", "r")
			require.NoError(t, err)
			require.Equal(t, `"of another"`, kept.Body)
			require.Equal(t, "crystal@example.com", must(records.FindConversation(ctx, h.Desk, other.SID)).Customer.Address)

			audit, err := desk.AuditPage(ctx, h.Desk, desk.AuditFilter{Kind: desk.AuditCustomer}, desk.Page{})
			require.NoError(t, err)
			require.Len(t, audit.Entries, 2)
			require.Equal(t, "carol", audit.Entries[1].By)
			require.Equal(t, th.SID, audit.Entries[1].Subject)
			require.Equal(t, "customer.erased", audit.Entries[1].What)
			require.Equal(t, "1 message, 2 notes, 1 task, 2 participants", audit.Entries[1].After)

			again, err := records.Erase(ctx, h.Desk, []string{th.SID, draft}, false)
			require.NoError(t, err)
			require.Equal(t, records.ErasedConversation{SID: th.SID, ClosedAt: done.Conversations[0].ClosedAt, ErasedAt: again.Conversations[0].ErasedAt}, again.Conversations[0])
			require.False(t, again.Conversations[0].ErasedAt.IsZero())
			audit, err = desk.AuditPage(ctx, h.Desk, desk.AuditFilter{Kind: desk.AuditCustomer}, desk.Page{})
			require.NoError(t, err)
			require.Len(t, audit.Entries, 2, "nothing was left to erase, and nothing is recorded")
		})
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// tableAndColumn matches a column in docs/security.md, in the format of its tables.
var tableAndColumn = regexp.MustCompile("`([a-z_]+\\.[a-z_]+)`")

// Every text column must be listed in docs/security.md as sealed, or as not sealed with a reason.
func TestEveryColumnHasAVerdict(t *testing.T) {
	t.Parallel()
	h := desktest.New(t, desktest.SQLite(t))
	document, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, match := range tableAndColumn.FindAllStringSubmatch(string(document), -1) {
		listed[match[1]] = true
	}
	var texts []string
	require.NoError(t, h.ReadTx(t.Context(), "read the columns", func(tx *desk.Tx) (err error) {
		texts, err = sqldb.All(t.Context(), tx, sqldb.Value[string], `SELECT m.name || '.' || p.name FROM sqlite_schema m JOIN pragma_table_info(m.name) p
			WHERE m.type = 'table' AND p.type = 'TEXT' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1`)
		return err
	}))
	for _, column := range texts {
		require.True(t, listed[column], "docs/security.md has no verdict on `%s`: say whether it is sealed", column)
	}
	for _, c := range desk.SealedColumns {
		require.Contains(t, texts, c.String())
	}
}
