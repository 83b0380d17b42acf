package desk

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// StoreNote stores a note for a later transfer, which names it by the returned SID (KQ…), so that its text stays
// out of the workflow's history. A note has 1 to [conversation.MaxNote] characters. The conversation decides
// whether the author may transfer. Refusals: invalid_payload, unknown_agent.
func (d *Desk) StoreNote(ctx context.Context, sid, author, text string) (string, error) {
	note, err := d.keepNote(ctx, sid, conversation.Note{Author: author, Text: text}, func(t *Tx) error { return t.knowAgent(ctx, author) })
	return note.SID, err
}

// KeepNote is [Desk.StoreNote] with the note's own SID, or a new one if it has none, and returns the stored note. A
// note that is stored under that SID already is not changed. The author may also be a service.
func (d *Desk) KeepNote(ctx context.Context, sid string, note conversation.Note) (conversation.Note, error) {
	return d.keepNote(ctx, sid, note, func(*Tx) error { return nil })
}

func (d *Desk) keepNote(ctx context.Context, sid string, note conversation.Note, mayWrite func(*Tx) error) (kept conversation.Note, err error) {
	switch length := utf8.RuneCountInString(note.Text); {
	case note.Author == "" || utf8.RuneCountInString(note.Author) > conversation.MaxText || !sqldb.Storable(note.Author):
		return kept, invalid("author", "a note has an author, whose name has at most %d characters", conversation.MaxText)
	case strings.TrimSpace(note.Text) == "":
		return kept, invalid("note", "the note is blank: write it, or leave it out")
	case length > conversation.MaxNote:
		return kept, invalid("note", "the note has %d characters: shorten it to at most %d", length, conversation.MaxNote)
	case !sqldb.Storable(note.Text):
		return kept, invalid("note", "the note isn't valid UTF-8 text: send it without control zeros, encoded as UTF-8")
	}
	if note.SID == "" {
		note.SID = conversation.SIDOf(conversation.PrefixNote, uuid.New())
	}
	note.Kind, note.CreatedAt = conversation.NoteTransfer, d.now()
	err = d.SharedTx(ctx, "store a note of conversation "+sid, func(t *Tx) error {
		if _, err := t.conversationStatus(ctx, sid); err != nil {
			return err
		}
		if err := mayWrite(t); err != nil {
			return err
		}
		if err := t.insertNote(ctx, sid, note); err != nil {
			return err
		}
		kept, _, err = sqldb.First(ctx, t, scanNote, selectNotes+` WHERE sid = $1`, note.SID)
		return err
	})
	return kept, err
}

// Note returns the note with that SID and its conversation. Refusals: not_your_task (for every customer too),
// unknown_agent, and invalid_payload for an unknown note.
func (d *Desk) Note(ctx context.Context, sid string, reader Reader) (note conversation.Note, of string, err error) {
	err = d.ReadTx(ctx, "read note "+sid, func(t *Tx) error {
		var found bool
		if of, found, err = sqldb.First(ctx, t, sqldb.Value[string], `SELECT conversation FROM notes WHERE sid = $1`, sid); err != nil {
			return err
		}
		if !found {
			return noSuchNote(sid)
		}
		may, err := t.allowNotes(ctx, reader, of)
		if err != nil {
			return err
		}
		if note, _, err = sqldb.First(ctx, t, scanNote, selectNotes+` WHERE sid = $1`, sid); err == nil && !may.includesNote(note) {
			note, of = conversation.Note{}, ""
			return noSuchNote(sid)
		}
		return err
	})
	return note, of, err
}

func (t *Tx) insertNote(ctx context.Context, sid string, n conversation.Note) error {
	_, err := t.Exec(ctx, `INSERT INTO notes (sid, conversation, kind, task, transfer, author, text, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (sid) DO NOTHING`,
		n.SID, sid, string(n.Kind), n.Task, n.Transfer, n.Author, t.Sealed(noteText, n.SID, n.Text), sqldb.Micros(n.CreatedAt))
	return err
}

// Notes returns the conversation's notes, oldest first. Refusals: not_your_task (for every customer too) and
// unknown_agent.
func (d *Desk) Notes(ctx context.Context, sid string, reader Reader) (notes []conversation.Note, err error) {
	err = d.ReadTx(ctx, "read the notes of conversation "+sid, func(t *Tx) error {
		may, err := t.allowNotes(ctx, reader, sid)
		if err != nil {
			return err
		}
		notes, err = t.notes(ctx, sid, may)
		return err
	})
	return notes, err
}

func (t *Tx) notes(ctx context.Context, sid string, may extent) ([]conversation.Note, error) {
	notes, err := sqldb.All(ctx, t, scanNote, selectNotes+` WHERE conversation = $1 ORDER BY created_at, sid`, sid)
	return slices.DeleteFunc(notes, func(n conversation.Note) bool { return !may.includesNote(n) }), err
}

func (e extent) includesNote(n conversation.Note) bool {
	return e.Includes(n.CreatedAt) || n.Author == e.Agent
}

func noSuchNote(sid string) error {
	return invalid("note", "the desk has no note %s: check its SID", sid)
}

const selectNotes = `SELECT sid, kind, task, transfer, author, text, created_at FROM notes`

func scanNote(r sqldb.Row) (n conversation.Note, err error) {
	err = r.Scan(&n.SID, &n.Kind, &n.Task, &n.Transfer, &n.Author, sqldb.Opened(noteText, &n.SID, &n.Text), sqldb.Instant(&n.CreatedAt))
	return n, err
}
