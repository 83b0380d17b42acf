package records

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// StoreNote stores a note for a later transfer, which names it by the returned SID (KQ…), so that its text stays
// out of the workflow's history. A note has 1 to [conversation.MaxNote] characters. The conversation decides
// whether the author may transfer. Refusals: invalid_payload, unknown_agent.
func StoreNote(ctx context.Context, d *desk.Desk, sid, author, text string) (string, error) {
	note, err := storeNote(ctx, d, sid, conversation.Note{Author: author, Text: text}, func(tx *desk.Tx) error { return desk.RequireAgent(ctx, tx, author) })
	return note.SID, err
}

// KeepNote is [StoreNote] with the note's own SID, or a new one if it has none, and returns the stored note. A
// note that is stored under that SID already is not changed. The author may also be a service.
func KeepNote(ctx context.Context, d *desk.Desk, sid string, note conversation.Note) (conversation.Note, error) {
	return storeNote(ctx, d, sid, note, func(*desk.Tx) error { return nil })
}

func storeNote(ctx context.Context, d *desk.Desk, sid string, note conversation.Note, mayWrite func(*desk.Tx) error) (kept conversation.Note, err error) {
	switch length := utf8.RuneCountInString(note.Text); {
	case note.Author == "" || utf8.RuneCountInString(note.Author) > conversation.MaxText || !sqldb.Storable(note.Author):
		return kept, desk.Invalid("author", "a note has an author, whose name has at most %d characters", conversation.MaxText)
	case strings.TrimSpace(note.Text) == "":
		return kept, desk.Invalid("note", "the note is blank: write it, or leave it out")
	case length > conversation.MaxNote:
		return kept, desk.Invalid("note", "the note has %d characters: shorten it to at most %d", length, conversation.MaxNote)
	case !sqldb.Storable(note.Text):
		return kept, desk.Invalid("note", "the note isn't valid UTF-8 text: send it without control zeros, encoded as UTF-8")
	}
	if note.SID == "" {
		note.SID = conversation.SIDOf(conversation.PrefixNote, uuid.New())
	}
	note.Kind, note.CreatedAt = conversation.NoteTransfer, d.Now()
	err = d.SharedTx(ctx, "store a note of conversation "+sid, func(tx *desk.Tx) error {
		if _, err := ConversationStatus(ctx, tx, sid); err != nil {
			return err
		}
		if err := mayWrite(tx); err != nil {
			return err
		}
		p := tx.Pipeline()
		if err := QueueNotes(tx, p, []NoteOf{{Conversation: sid, Note: note}}); err != nil {
			return err
		}
		if err := p.Run(ctx); err != nil {
			return err
		}
		kept, _, err = sqldb.First(ctx, tx, scanNote, selectNotes+` WHERE sid = $1`, note.SID)
		return err
	})
	return kept, err
}

// FindNote returns the note with that SID and its conversation. Refusals: not_your_task (for every customer too),
// unknown_agent, and invalid_payload for an unknown note.
func FindNote(ctx context.Context, d *desk.Desk, sid string, reader Reader) (note conversation.Note, of string, err error) {
	err = d.ReadTx(ctx, "read note "+sid, func(tx *desk.Tx) error {
		var found bool
		if of, found, err = sqldb.First(ctx, tx, sqldb.Value[string], `SELECT conversation FROM notes WHERE sid = $1`, sid); err != nil {
			return err
		}
		if !found {
			return noSuchNote(sid)
		}
		may, err := noteExtent(ctx, tx, reader, of)
		if err != nil {
			return err
		}
		if note, _, err = sqldb.First(ctx, tx, scanNote, selectNotes+` WHERE sid = $1`, sid); err == nil && !may.includesNote(note) {
			note, of = conversation.Note{}, ""
			return noSuchNote(sid)
		}
		return err
	})
	return note, of, err
}

// NoteOf is a note of a conversation.
type NoteOf struct {
	Conversation string
	conversation.Note
}

// QueueNotes adds the insertion of notes to the pipeline. A note that is stored already stays as it is.
func QueueNotes(tx *desk.Tx, p *sqldb.Pipeline, notes []NoteOf) error {
	if len(notes) == 0 {
		return nil
	}
	rows := sqldb.NewRows(sqldb.Texts("of_sid", "of_conversation", "of_kind", "of_task", "of_transfer", "of_author", "of_text"), sqldb.Numbers("of_created_at"))
	for _, n := range notes {
		if err := rows.Add(n.SID, n.Conversation, string(n.Kind), n.Task, n.Transfer, n.Author, tx.Sealed(desk.NoteText, n.SID, n.Text), sqldb.Micros(n.CreatedAt)); err != nil {
			return desk.Wrap("save note "+n.SID, err)
		}
	}
	table, args := tx.Table(1, rows)
	p.Exec(`INSERT INTO notes (sid, conversation, kind, task, transfer, author, text, created_at)
		SELECT of_sid, of_conversation, of_kind, of_task, of_transfer, of_author, of_text, of_created_at FROM `+table+` WHERE true
		ON CONFLICT (sid) DO NOTHING`, args...)
	return nil
}

// ListNotes returns the conversation's notes, oldest first. Refusals: not_your_task (for every customer too) and
// unknown_agent.
func ListNotes(ctx context.Context, d *desk.Desk, sid string, reader Reader) (notes []conversation.Note, err error) {
	err = d.ReadTx(ctx, "read the notes of conversation "+sid, func(tx *desk.Tx) error {
		may, err := noteExtent(ctx, tx, reader, sid)
		if err != nil {
			return err
		}
		notes, err = ReadNotes(ctx, tx, sid, may)
		return err
	})
	return notes, err
}

// ReadNotes returns the notes that the reader may read, oldest first.
func ReadNotes(ctx context.Context, tx *desk.Tx, sid string, may Extent) ([]conversation.Note, error) {
	notes, err := sqldb.All(ctx, tx, scanNote, selectNotes+` WHERE conversation = $1 ORDER BY created_at, sid`, sid)
	return slices.DeleteFunc(notes, func(n conversation.Note) bool { return !may.includesNote(n) }), err
}

func (e Extent) includesNote(n conversation.Note) bool {
	return e.Includes(n.CreatedAt) || n.Author == e.Agent
}

func noSuchNote(sid string) error {
	return desk.Invalid("note", "the desk has no note %s: check its SID", sid)
}

const selectNotes = `SELECT sid, kind, task, transfer, author, text, created_at FROM notes`

func scanNote(r sqldb.Row) (n conversation.Note, err error) {
	err = r.Scan(&n.SID, &n.Kind, &n.Task, &n.Transfer, &n.Author, sqldb.Opened(desk.NoteText, &n.SID, &n.Text), sqldb.Instant(&n.CreatedAt))
	return n, err
}
