package desk

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
)

// StoreNote keeps a note for a transfer to come, which names it by the SID (KQ…) returned, so that
// its text stays out of the conversation's history. A note has 1 to [conversation.MaxNote]
// characters. Whether the author may transfer is for the conversation to say. Refusals: invalid_payload.
func (d *Desk) StoreNote(ctx context.Context, sid, author, text string) (string, error) {
	switch length := utf8.RuneCountInString(text); {
	case author == "" || utf8.RuneCountInString(author) > conversation.MaxText || !storable(author):
		return "", invalid("author", "a note has an author, whose name has at most %d characters", conversation.MaxText)
	case strings.TrimSpace(text) == "":
		return "", invalid("note", "the note is blank: write it, or leave it out")
	case length > conversation.MaxNote:
		return "", invalid("note", "the note has %d characters: shorten it to at most %d", length, conversation.MaxNote)
	case !storable(text):
		return "", invalid("note", "the note isn't valid UTF-8 text: send it without control zeros, encoded as UTF-8")
	}
	note := conversation.Note{
		SID: conversation.SIDOf(conversation.PrefixNote, uuid.New()), Kind: conversation.NoteTransfer,
		Author: author, Text: text, CreatedAt: d.now(),
	}
	err := d.write(ctx, "store a note of conversation "+sid, func(t *transaction) error {
		if _, err := t.conversationStatus(ctx, sid); err != nil {
			return err
		}
		return t.insertNote(ctx, sid, note)
	})
	if err != nil {
		return "", err
	}
	return note.SID, nil
}

func (t *transaction) insertNote(ctx context.Context, sid string, n conversation.Note) error {
	_, err := t.exec(ctx, `INSERT INTO notes (sid, conversation, kind, task, transfer, author, text, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (sid) DO NOTHING`,
		n.SID, sid, string(n.Kind), n.Task, n.Transfer, n.Author, n.Text, micros(n.CreatedAt))
	return err
}

// Notes returns the conversation's notes, oldest first. Refusals: not_your_task, for every customer
// too, and unknown_agent.
func (d *Desk) Notes(ctx context.Context, sid string, reader Reader) (notes []conversation.Note, err error) {
	err = d.read(ctx, "read the notes of conversation "+sid, func(t *transaction) error {
		if err := t.allowNotes(ctx, reader, sid); err != nil {
			return err
		}
		notes, err = t.notes(ctx, sid)
		return err
	})
	return notes, err
}

func (t *transaction) notes(ctx context.Context, sid string) ([]conversation.Note, error) {
	return all(ctx, t, func(r row) (n conversation.Note, err error) {
		err = r.Scan(&n.SID, &n.Kind, &n.Task, &n.Transfer, &n.Author, &n.Text, instant{&n.CreatedAt})
		return n, err
	}, `SELECT sid, kind, task, transfer, author, text, created_at FROM notes WHERE conversation = $1 ORDER BY created_at, sid`, sid)
}
