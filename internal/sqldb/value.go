package sqldb

import (
	"database/sql"
	"fmt"
	"time"
)

// Micros returns a time as tables store it: UTC microseconds, 0 for none.
func Micros(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMicro()
}

// Instant scans a time that [Micros] has stored.
func Instant(into *time.Time) sql.Scanner { return instant{into} }

type instant struct{ into *time.Time }

// Scan implements [sql.Scanner].
func (i instant) Scan(from any) error {
	stored, ok := from.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T, not as microseconds", from)
	}
	*i.into = time.Time{}
	if stored != 0 {
		*i.into = time.UnixMicro(stored).UTC()
	}
	return nil
}

// Flag returns a boolean as tables store it.
func Flag(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
