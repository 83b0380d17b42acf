package site

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/internal/desk"
)

// PerPage is the maximum number of entries on one page of a list.
const PerPage = 50

// PageOf returns the page of a list of conversations that the query's parameters before and after ask for.
func PageOf(query url.Values) desk.Page {
	wanted := desk.Page{Limit: PerPage, After: cursorIn(query.Get("before"))}
	if wanted.After == nil {
		wanted.Before = cursorIn(query.Get("after"))
	}
	return wanted
}

// cursorIn parses a cursor of a list. It returns nil if the text is not one.
func cursorIn(text string) *desk.Cursor {
	key, sid, ok := strings.Cut(text, "-")
	at, err := strconv.ParseInt(key, 10, 64)
	if !ok || err != nil {
		return nil
	}
	return &desk.Cursor{Key: at, SID: sid}
}
