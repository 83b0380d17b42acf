package desk

import "github.com/baton-transfers/baton/internal/sqldb"

// Page selects a part of a list: the entries after a cursor, before a cursor, or after a number of skipped entries.
// The zero Page is the first fifty.
type Page = sqldb.Page

// Cursor is a place in a list, by its sort key. Added or removed entries do not move it.
type Cursor = sqldb.Cursor

// Found is a page of a list.
type Found[T any] = sqldb.Found[T]

// MaxPage is the maximum number of entries on a page.
const MaxPage = sqldb.MaxPage
