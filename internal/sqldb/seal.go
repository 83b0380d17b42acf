package sqldb

import (
	"database/sql/driver"
	"fmt"
	"strings"
)

// Cipher seals texts, each for one place. The key ring of package codec implements it.
type Cipher interface {
	// Empty reports whether there are no keys; then nothing is sealed.
	Empty() bool
	// Seal returns the text sealed with the newest key. It can only be opened for the same place.
	Seal(text, place string) (string, error)
	// SealEqual returns the text sealed with each key, newest first. Equal texts for the same place are sealed
	// equally.
	SealEqual(text, place string) ([]string, error)
	// Open returns the text that was sealed for the place.
	Open(sealed, place string) (string, error)
	// Current reports whether the text was sealed with the newest key.
	Current(sealed string) bool
}

const (
	// sealedPrefix begins a sealed text; escapePrefix begins a clear text that would otherwise look sealed.
	sealedPrefix = "enc:v1:"
	escapePrefix = "enc:v0:"
)

// IsSealed reports whether a stored text is encrypted.
func IsSealed(stored string) bool { return strings.HasPrefix(stored, sealedPrefix) }

// Column is a column whose texts are sealed.
type Column struct {
	Table, Name string
	// Key is the column that identifies the table's rows; a sealed text is bound to its row.
	Key string
	// Equal is set if rows are found by the text; the text is then bound to the column only.
	Equal bool
}

// String returns the column's name in SQL.
func (c Column) String() string { return c.Table + "." + c.Name }

// place returns the place that a text of that row is sealed for.
func (c Column) place(row string) string {
	if c.Equal {
		return c.String()
	}
	return c.String() + "/" + row
}

// Seals encrypts texts that are written to tables, and decrypts texts that are read. Without a cipher texts are
// stored clear. Clear texts can always be read. Empty texts are not sealed, because queries test for them.
type Seals struct{ cipher Cipher }

// On reports whether texts are encrypted.
func (s Seals) On() bool { return s.cipher != nil && !s.cipher.Empty() }

// Seal returns a text in the form in which the row's column stores it.
func (s Seals) Seal(c Column, row, text string) (string, error) {
	switch {
	case isBlank(text):
		return text, nil
	case s.On() && c.Equal:
		sealed, err := s.cipher.SealEqual(text, c.place(row))
		if err != nil {
			return "", fmt.Errorf("seal %s: %w", c, err)
		}
		return sealed[0], nil
	case s.On():
		sealed, err := s.cipher.Seal(text, c.place(row))
		if err != nil {
			return "", fmt.Errorf("seal %s: %w", c, err)
		}
		return sealed, nil
	}
	return clearText(text), nil
}

// Open returns the text that the row's column has stored.
func (s Seals) Open(c Column, row, stored string) (string, error) {
	if text, escaped := strings.CutPrefix(stored, escapePrefix); escaped {
		return text, nil
	}
	if !IsSealed(stored) {
		return stored, nil
	}
	if s.cipher == nil {
		return "", fmt.Errorf("%s of %s is encrypted: set BATON_ENCRYPTION_KEYS or BATON_ENCRYPTION_KEYS_FILE to the desk's keys", c, row)
	}
	text, err := s.cipher.Open(stored, c.place(row))
	if err != nil {
		return "", fmt.Errorf("read %s of %s: %w", c, row, err)
	}
	return text, nil
}

// Current reports whether a stored text need not be sealed again: it is blank, or sealed with the newest key.
func (s Seals) Current(stored string) bool { return isBlank(stored) || s.cipher.Current(stored) }

// Reseal returns the stored text sealed with the newest key, unchanged if it already is.
func (s Seals) Reseal(c Column, row, stored string) (string, error) {
	if s.Current(stored) {
		return stored, nil
	}
	text, err := s.Open(c, row, stored)
	if err != nil {
		return "", err
	}
	return s.Seal(c, row, text)
}

// Forms returns the forms in which a text may be stored in a searched column: clear, or sealed with any of the keys.
func (s Seals) Forms(c Column, text string) ([]string, error) {
	forms := []string{clearText(text)}
	if !s.On() || isBlank(text) {
		return forms, nil
	}
	sealed, err := s.cipher.SealEqual(text, c.place(""))
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", c, err)
	}
	return append(forms, sealed...), nil
}

// isBlank reports whether a text is empty or an empty JSON object.
func isBlank(text string) bool { return text == "" || text == "{}" }

// clearText returns the text as it is stored clear.
func clearText(text string) string {
	if strings.HasPrefix(text, sealedPrefix) || strings.HasPrefix(text, escapePrefix) {
		return escapePrefix + text
	}
	return text
}

// sealed is a query argument: the text of a row's column.
type sealed struct {
	seals     Seals
	column    Column
	row, text string
}

// Value implements [driver.Valuer].
func (s sealed) Value() (driver.Value, error) {
	return s.seals.Seal(s.column, s.row, storableText(s.text))
}

// Sealed returns the query argument for a text of the row's column.
func (t *Tx) Sealed(c Column, row, text string) driver.Valuer {
	return sealed{seals: t.pool.seals, column: c, row: row, text: text}
}

// Seals returns what encrypts and decrypts the transaction's texts.
func (t *Tx) Seals() Seals { return t.pool.seals }

// StoredAs returns a condition on a searched column for every form in which the text may be stored, and its
// arguments. The first argument has the given number.
func (t *Tx) StoredAs(c Column, text string, number int) (condition string, args []any, err error) {
	forms, err := t.pool.seals.Forms(c, text)
	if err != nil {
		return "", nil, err
	}
	places := make([]string, len(forms))
	for i, form := range forms {
		places[i] = fmt.Sprintf("$%d", number+i)
		args = append(args, form)
	}
	return c.Name + " IN (" + strings.Join(places, ", ") + ") AND " + c.Name + " <> ''", args, nil
}

// Opener is a destination for sealed data.
type Opener interface {
	// Target is the destination of the scan.
	Target() any
	// Open decrypts what was scanned.
	Open(seals Seals) error
}

// openingRow opens sealed data after scanning it.
type openingRow struct {
	Row

	seals Seals
}

// openingRow returns the row, whose sealed data is opened by Scan.
func (t *Tx) openingRow(r Row) Row { return openingRow{r, t.pool.seals} }

// Scan implements [Row].
func (r openingRow) Scan(into ...any) error {
	var open []Opener
	for i := range into {
		if o, ok := into[i].(Opener); ok {
			open = append(open, o)
			into[i] = o.Target()
		}
	}
	if err := r.Row.Scan(into...); err != nil {
		return err
	}
	for _, o := range open {
		if err := o.Open(r.seals); err != nil {
			return err
		}
	}
	return nil
}

// Opened is the destination for the text of a row's column. The same scan may read the row's key.
func Opened(c Column, row, into *string) Opener { return opened{c, row, into} }

type opened struct {
	column    Column
	row, into *string
}

// Target implements [Opener].
func (o opened) Target() any { return o.into }

// Open implements [Opener].
func (o opened) Open(s Seals) (err error) {
	*o.into, err = s.Open(o.column, *o.row, *o.into)
	return err
}
