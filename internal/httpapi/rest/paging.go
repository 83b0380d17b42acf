package rest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/internal/desk"
)

// A page token begins with its direction: after the cursor, or before it.
const (
	tokenAfter  = "PA"
	tokenBefore = "PB"
)

// Page reads which page of a list is requested.
func (i *Input) Page() (desk.Page, error) {
	most := desk.MaxPage
	if i.route.Product == ProductConversations {
		most = 100
	}
	page := desk.Page{Limit: min(50, most)}
	if size := i.Form.Get("PageSize"); size != "" {
		limit, err := strconv.Atoi(size)
		if err != nil || limit < 1 || limit > most {
			return page, &Problem{Status: http.StatusBadRequest, Code: 20007, Message: fmt.Sprintf("PageSize has to be a number from 1 to %d", most)}
		}
		page.Limit = limit
	}
	if token := i.Form.Get("PageToken"); token != "" {
		cursor, err := cursorOf(token)
		if err != nil {
			return page, i.Wrong("PageToken", "PageToken is none of Baton's: take next_page_url as it is")
		}
		if strings.HasPrefix(token, tokenBefore) {
			page.Before = &cursor
		} else {
			page.After = &cursor
		}
		return page, nil
	}
	number, err := i.Number("Page", 0, 0, 1_000_000)
	page.Skip = number * page.Limit
	return page, err
}

func cursorOf(token string) (desk.Cursor, error) {
	var cursor desk.Cursor
	if !strings.HasPrefix(token, tokenAfter) && !strings.HasPrefix(token, tokenBefore) {
		return cursor, fmt.Errorf("the page token %s has no direction", Quoted(token))
	}
	decoded, err := base64.RawURLEncoding.DecodeString(token[2:])
	if err != nil {
		return cursor, fmt.Errorf("decode a page token: %w", err)
	}
	key, sid, _ := strings.Cut(string(decoded), " ")
	cursor.SID = sid
	if cursor.Key, err = strconv.ParseInt(key, 10, 64); err != nil {
		return cursor, fmt.Errorf("decode a page token: %w", err)
	}
	return cursor, nil
}

func tokenOf(direction string, c desk.Cursor) string {
	return direction + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", c.Key, c.SID))
}

// meta is the position of a page in its list, in the form of Twilio.
type meta struct {
	Page            int     `json:"page"`
	PageSize        int     `json:"page_size"`
	FirstPageURL    string  `json:"first_page_url"`
	PreviousPageURL *string `json:"previous_page_url"`
	NextPageURL     *string `json:"next_page_url"`
	URL             string  `json:"url"`
	Key             string  `json:"key"`
}

// Listed is a page of a list under the list's key.
type Listed struct {
	key     string
	Entries any
	meta    meta
}

// MarshalJSON implements [json.Marshaler].
func (l Listed) MarshalJSON() ([]byte, error) {
	encoded, err := encode(map[string]any{l.key: l.Entries, "meta": l.meta})
	if err != nil {
		return nil, fmt.Errorf("encode a page of %s: %w", l.key, err)
	}
	return encoded, nil
}

// List returns the answer for a page that the desk has found.
func List[T, M any](c *Call, page desk.Page, found desk.Found[T], render func(T) M) Listed {
	entries := make([]M, len(found.Entries))
	for i, entry := range found.Entries {
		entries[i] = render(entry)
	}
	number, _ := strconv.Atoi(c.Form.Get("Page"))
	at := func(number int, token string) string {
		query := url.Values{}
		for name, values := range c.Form {
			if name != "Page" && name != "PageToken" && name != "PageSize" {
				query[name] = values
			}
		}
		query.Set("PageSize", strconv.Itoa(page.Limit))
		query.Set("Page", strconv.Itoa(number))
		if token != "" {
			query.Set("PageToken", token)
		}
		return c.URL(strings.TrimPrefix(c.Request.URL.EscapedPath(), "/")) + "?" + query.Encode()
	}
	m := meta{Page: number, PageSize: page.Limit, FirstPageURL: at(0, ""), URL: at(number, c.Form.Get("PageToken")), Key: c.route.List}
	if found.More {
		m.NextPageURL = new(at(number+1, tokenOf(tokenAfter, found.Last)))
	}
	if found.Earlier && len(found.Entries) > 0 {
		m.PreviousPageURL = new(at(max(number-1, 0), tokenOf(tokenBefore, found.First)))
	}
	return Listed{key: c.route.List, Entries: entries, meta: m}
}

// Some returns a page of a short list, all of which is in entries.
func Some[T, M any](c *Call, entries []T, render func(T) M) (any, error) {
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	skip := page.Skip
	switch {
	case page.After != nil:
		skip = int(page.After.Key)
	case page.Before != nil:
		skip = max(int(page.Before.Key)-page.Limit, 0)
	}
	skip = max(min(skip, len(entries)), 0)
	end := min(skip+page.Limit, len(entries))
	found := desk.Found[T]{
		Entries: entries[skip:end], More: end < len(entries), Earlier: skip > 0,
		First: desk.Cursor{Key: int64(skip)}, Last: desk.Cursor{Key: int64(end)},
	}
	return List(c, page, found, render), nil
}
