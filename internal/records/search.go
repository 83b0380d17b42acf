package records

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/naming"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// MaxSearch is the maximum number of characters in a search.
const MaxSearch = 200

// searchBounds is how much one search reads. Older conversations are left to the next page.
type searchBounds struct{ conversations, messages int }

// MatchKind says where a search was found.
type MatchKind string

// A search is found in a SID, in a name or address of the customer or a participant, or in the text of a message.
const (
	MatchSID     MatchKind = "sid"
	MatchName    MatchKind = "name"
	MatchAddress MatchKind = "address"
	MatchText    MatchKind = "text"
)

// Excerpt is where a search was found, on one line.
type Excerpt struct {
	In MatchKind `json:"in"`
	// Message, From and At are the message's SID, author and time, if the search was found in a text.
	Message string    `json:"message,omitempty"`
	From    string    `json:"from,omitempty"`
	At      time.Time `json:"at,omitzero"`
	// Before and After are the text around the Match, cut to a line's length.
	Before string `json:"before,omitempty"`
	Match  string `json:"match"`
	After  string `json:"after,omitempty"`
}

// Match is a conversation on a page of [ConversationPage].
type Match struct {
	Conversation

	// Excerpt is where the search was found. It is nil without a search.
	Excerpt *Excerpt `json:"found,omitempty"`
}

// Matches is a page of conversations.
type Matches struct {
	desk.Found[Match]

	// Searched is how many conversations the search has read. The last of them began at Until.
	Searched int
	Until    time.Time
	// Bounded is set when the search stopped at its bounds. The page after Last, or before First, continues it.
	Bounded bool
}

// ConversationPage returns a page of the conversations that the filter selects, in its order, restricted to those
// in which the search is found: in a name or address of the customer or a participant, in the text of a message, or
// as a SID of the conversation or of something in it. The search ignores case, diacritics, width, repeated spaces,
// and the separators of a telephone number. An empty search finds all.
//
// A search reads and decrypts the conversations one by one, newest first, up to a bound. Nothing is stored for a
// search. It is refused with invalid_payload for a search that is too long or has no searchable character.
func ConversationPage(ctx context.Context, d *desk.Desk, f Filter, search string, p desk.Page) (Matches, error) {
	return conversationPage(ctx, d, f, search, p, searchBounds{conversations: 10_000, messages: 50_000})
}

func conversationPage(ctx context.Context, d *desk.Desk, f Filter, search string, p desk.Page, bounds searchBounds) (found Matches, err error) {
	for _, text := range []string{string(f.Status), f.Agent, f.Queue, sidIn(p.After), sidIn(p.Before)} {
		if !sqldb.Storable(text) {
			return Matches{}, desk.Invalid("filter", "the filter or the page is not valid UTF-8 text: choose it from the list")
		}
	}
	wanted, err := searchFor(search)
	if err != nil {
		return Matches{}, err
	}
	if wanted.fold != "" && wanted.sid == "" {
		end, err := d.HeavyRead(ctx)
		if err != nil {
			return Matches{}, err
		}
		defer end()
	}
	err = d.ReadTx(ctx, "search conversations", func(tx *desk.Tx) error {
		found, err = searchConversations(ctx, tx, f, wanted, p, bounds)
		return err
	})
	return found, err
}

func sidIn(c *desk.Cursor) string {
	if c == nil {
		return ""
	}
	return c.SID
}

// searched is what a search looks for.
type searched struct {
	// fold is its fold. digits are the digits of a telephone number, or "" when it is not one.
	fold, digits string
	// sid is the search as a SID, or "" for other text. given is the search as it was written, for SIDs of
	// providers.
	sid, given string
}

var anySID = regexp.MustCompile(`^[A-Za-z]{2}[0-9A-Fa-f]{32}$`)

// shortestNumber is the minimum number of digits for which a telephone number is compared without its separators.
const shortestNumber = 3

func searchFor(search string) (searched, error) {
	switch given := strings.TrimSpace(search); {
	case given == "":
		return searched{}, nil
	case !sqldb.Storable(given):
		return searched{}, desk.Invalid("search", "the search is not valid UTF-8 text: send it encoded as UTF-8")
	case utf8.RuneCountInString(given) > MaxSearch:
		return searched{}, desk.Invalid("search", "the search has more than %d characters: search for a shorter text", MaxSearch)
	case naming.Fold(given) == "":
		return searched{}, desk.Invalid("search", "the search has only invisible characters: search for at least one letter or digit")
	default:
		wanted := searched{fold: naming.Fold(given), given: given}
		if strings.Trim(wanted.fold, "0123456789"+separators) == "" {
			if digits := digitsOf(wanted.fold); len(digits) >= shortestNumber {
				wanted.digits = digits
			}
		}
		if anySID.MatchString(given) {
			wanted.sid = strings.ToUpper(given[:sidPrefix]) + strings.ToLower(given[sidPrefix:])
		}
		return wanted, nil
	}
}

// separators are what people write in telephone numbers apart from digits, as folds contain them.
const separators = "+()-./ \u2010\u2012\u2013\u2014\u2212"

// digitsOf returns a telephone number without separators, the national zero in brackets and the international
// prefix.
func digitsOf(fold string) string {
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(separators, r) {
			return -1
		}
		return r
	}, strings.ReplaceAll(fold, "(0)", ""))
	return strings.TrimPrefix(digits, "00")
}

func (s searched) inAddress(address string) bool {
	fold := naming.Fold(address)
	return strings.Contains(fold, s.fold) || s.digits != "" && strings.Contains(digitsOf(fold), s.digits)
}

// The maximum number of characters before and after a match in an excerpt.
const (
	excerptBefore = 50
	excerptAfter  = 100
)

// excerpt returns the line around the first match in a text. The whole line is the match when only separators
// differ.
func (s searched) excerpt(in MatchKind, text string) *Excerpt {
	line := conversation.CleanName(text)
	from, to, found := naming.Locate(line, s.fold)
	if !found {
		return &Excerpt{In: in, Match: line}
	}
	before, after := []rune(line[:from]), []rune(line[to:])
	e := &Excerpt{In: in, Before: string(before), Match: line[from:to], After: string(after)}
	if len(before) > excerptBefore {
		e.Before = "…" + string(before[len(before)-excerptBefore:])
	}
	if len(after) > excerptAfter {
		e.After = string(after[:excerptAfter]) + "…"
	}
	return e
}

// candidate is a conversation that a search reads, and its position in the order of the list.
type candidate struct {
	Conversation

	place desk.Cursor
}

// andThen scans the last columns of a row into its own destinations.
type andThen struct {
	sqldb.Row

	last []any
}

// Scan implements row.
func (r andThen) Scan(into ...any) error { return r.Row.Scan(slices.Concat(into, r.last)...) }

// candidates is the list of the conversations that the filter selects.
func candidates(f Filter) sqldb.Listing[candidate] {
	list := sqldb.Listing[candidate]{
		From: `conversations c`, Key: `c.created_at`, SID: `c.sid`, Descending: true,
		Conditions: []string{`c.revision > 0`}, // drafts are not conversations yet
		KeyOf:      func(c candidate) (int64, string) { return c.place.Key, c.place.SID },
		Scan: func(r sqldb.Row) (c candidate, err error) {
			c.Conversation, err = scanConversation(andThen{r, []any{&c.place.Key, &c.place.SID}})
			return c, err
		},
	}
	if f.WaitingLongest {
		// Few tasks wait, so they are read first: SQLite reads the tables of a CROSS JOIN in this order.
		list.From, list.Key, list.SID, list.Descending = `tasks w CROSS JOIN conversations c`, `w.created_at`, `w.sid`, false
		list.Conditions = append(list.Conditions, `c.sid = w.conversation`, `w.completed_at = 0 AND w.canceled_at = 0`, `w.status IN ('pending', 'reserved')`)
	}
	list.Columns = `c.sid, c.status, c.channel, c.customer_name, c.customer_address, c.revision, c.messages, c.gone, c.created_at, c.closed_at, ` + list.Key + `, ` + list.SID
	during := `completed_at = 0 AND canceled_at = 0`
	ofAgent := during
	if f.Status == conversation.ConversationClosed {
		during, ofAgent = `1 = 1`, `assigned_at > 0`
	}
	if f.Status != "" {
		list.Where(`c.status = $%d`, string(f.Status))
	}
	// Live tasks are few, so they are read first. Waiting tasks are fewer, and are read in order.
	has := `c.sid IN (SELECT conversation FROM tasks WHERE %s = $%%d AND %s)`
	if f.WaitingLongest {
		has = `EXISTS (SELECT 1 FROM tasks x WHERE x.conversation = c.sid AND x.%s = $%%d AND %s)`
	}
	if f.Agent != "" {
		list.Where(fmt.Sprintf(has, "agent", ofAgent), f.Agent)
	}
	if f.Queue != "" {
		list.Where(fmt.Sprintf(has, "queue", during), f.Queue)
	}
	return list
}

func searchConversations(ctx context.Context, tx *desk.Tx, f Filter, wanted searched, p desk.Page, bounds searchBounds) (found Matches, err error) {
	list := candidates(f)
	switch {
	case wanted.sid != "":
		restrict(&list, wanted)
	case wanted.fold != "":
		found, err = searchPage(ctx, tx, list, wanted, p, bounds)
		if err != nil {
			return Matches{}, err
		}
		return found, completeMatches(ctx, tx, found.Entries)
	}
	page, err := list.Page(ctx, tx, p)
	if err != nil {
		return Matches{}, err
	}
	found.Found = desk.Found[Match]{First: page.First, Last: page.Last, More: page.More, Earlier: page.Earlier, Entries: make([]Match, len(page.Entries))}
	for i, c := range page.Entries {
		found.Entries[i].Conversation = c.Conversation
		if wanted.sid != "" {
			found.Entries[i].Excerpt = &Excerpt{In: MatchSID, Match: wanted.sid}
		}
	}
	return found, completeMatches(ctx, tx, found.Entries)
}

// restrict adds the condition that the SID is the conversation's or that of something in it. What has no row of its
// own, such as an interaction (KD…), has the digits of its conversation's SID.
func restrict(l *sqldb.Listing[candidate], wanted searched) {
	digits := wanted.sid[sidPrefix:]
	l.Args = append(l.Args, conversation.PrefixConversation+digits, wanted.sid, wanted.given)
	n := len(l.Args)
	ways := []string{fmt.Sprintf(`SELECT sid FROM conversations WHERE sid = $%d`, n-2)}
	for _, table := range []string{"tasks", "reservations", "transfers", "notes", "messages", "participants"} {
		ways = append(ways, fmt.Sprintf(`SELECT conversation FROM %s WHERE sid = $%d`, table, n-1))
	}
	ways = append(ways, fmt.Sprintf(`SELECT conversation FROM messages WHERE provider_sid = $%d AND provider_sid <> ''`, n))
	l.Conditions = append(l.Conditions, `c.sid IN (`+strings.Join(ways, ` UNION ALL `)+`)`)
}

// perSearch is the default number of conversations on a page.
const perSearch = 50

// searchPage reads the list from the page's cursor on until the page is full, or the bounds are reached.
func searchPage(ctx context.Context, tx *desk.Tx, list sqldb.Listing[candidate], wanted searched, p desk.Page, bounds searchBounds) (Matches, error) {
	if p.Limit <= 0 {
		p.Limit = perSearch
	}
	s := &searching{wanted: wanted, bounds: bounds, limit: min(p.Limit, desk.MaxPage), skip: p.Skip, from: p.After, excerpts: map[string]*Excerpt{}}
	backwards := p.Before != nil
	if backwards {
		s.from = p.Before
	}
	s.last = s.from
	for more := true; more && !s.over(); {
		batch, err := list.Read(ctx, tx, s.last, backwards, sqldb.Batch+1)
		if err != nil {
			return Matches{}, err
		}
		more = len(batch) > sqldb.Batch
		batch = batch[:min(len(batch), sqldb.Batch)]
		for len(batch) > 0 && !s.over() {
			var chunk []candidate
			chunk, batch = nextChunk(batch)
			found, err := findMatches(ctx, tx, chunk, wanted)
			if err != nil {
				return Matches{}, err
			}
			s.take(chunk, found, more || len(batch) > 0)
		}
	}
	return s.page(backwards, p.Skip > 0), nil
}

// searching is the progress of a search.
type searching struct {
	wanted      searched
	bounds      searchBounds
	limit, skip int
	// from is where the search began, and last the position of the conversation that was read last. nil is the
	// list's end.
	from, last *desk.Cursor
	// hits has at most one more than the page may have, which shows that there are more.
	hits     []candidate
	excerpts map[string]*Excerpt
	messages int
	matches  Matches
}

func (s *searching) full() bool { return len(s.hits) > s.limit }

func (s *searching) over() bool { return s.full() || s.matches.Bounded }

// take adds what was found in the chunk. more reports whether there are conversations after it.
func (s *searching) take(chunk []candidate, found map[string]*Excerpt, more bool) {
	for _, c := range chunk {
		s.matches.Searched++
		s.messages += c.Messages
		s.matches.Until, s.last = c.CreatedAt, &c.place
		switch {
		case found[c.SID] == nil:
		case s.skip > 0:
			s.skip--
		default:
			s.hits, s.excerpts[c.SID] = append(s.hits, c), found[c.SID]
		}
		if s.full() {
			return
		}
	}
	s.matches.Bounded = more && (s.matches.Searched >= s.bounds.conversations || s.messages >= s.bounds.messages)
}

// page returns what was found as a page of the list.
func (s *searching) page(backwards, skipped bool) Matches {
	further := s.over()
	var first, last desk.Cursor
	if s.from != nil {
		first = *s.from
	}
	if s.last != nil {
		last = *s.last
	}
	if s.full() {
		s.hits = s.hits[:s.limit]
		last = s.hits[s.limit-1].place
	}
	if len(s.hits) > 0 {
		first = s.hits[0].place
	}
	page := desk.Found[Match]{Entries: make([]Match, len(s.hits)), First: first, Last: last, More: further, Earlier: s.from != nil || skipped}
	if backwards {
		slices.Reverse(s.hits)
		page.First, page.Last, page.More, page.Earlier = last, first, true, further
	}
	for i, c := range s.hits {
		page.Entries[i] = Match{Conversation: c.Conversation, Excerpt: s.excerpts[c.SID]}
	}
	s.matches.Found = page
	return s.matches
}

// nextChunk divides conversations: the first part has at most about searchChunk messages, or one conversation.
func nextChunk(batch []candidate) (chunk, rest []candidate) {
	end, messages := 1, batch[0].Messages
	for end < len(batch) && messages+batch[end].Messages <= searchChunk {
		messages += batch[end].Messages
		end++
	}
	return batch[:end], batch[end:]
}

// findMatches returns where the search is found, by conversation: first in the customer's name and address, then in
// those of participants, then in the newest message that contains it.
func findMatches(ctx context.Context, tx *desk.Tx, chunk []candidate, wanted searched) (map[string]*Excerpt, error) {
	found := map[string]*Excerpt{}
	var rest []string
	for _, c := range chunk {
		switch {
		case strings.Contains(naming.Fold(c.Customer.Name), wanted.fold):
			found[c.SID] = wanted.excerpt(MatchName, c.Customer.Name)
		case wanted.inAddress(c.Customer.Address):
			found[c.SID] = wanted.excerpt(MatchAddress, c.Customer.Address)
		default:
			rest = append(rest, c.SID)
		}
	}
	if len(rest) == 0 {
		return found, nil
	}
	places, args := sqldb.BatchArguments(rest)
	if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		var sid, of, identity, address string
		if err := r.Scan(&sid, &of, sqldb.Opened(desk.MemberIdentity, &sid, &identity), sqldb.Opened(desk.MemberAddress, &sid, &address)); err != nil {
			return err
		}
		switch {
		case found[of] != nil || identity == erasedText:
		case wanted.inAddress(address):
			found[of] = wanted.excerpt(MatchAddress, address)
		case wanted.inAddress(identity): // for a telephone customer, the identity is the number
			found[of] = wanted.excerpt(MatchName, identity)
		}
		return nil
	}, `SELECT sid, conversation, identity, address FROM participants WHERE conversation IN (`+places+`) ORDER BY conversation, created_at, sid`, args...); err != nil {
		return nil, err
	}
	newest := map[string]Message{}
	if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		var m Message
		if err := r.Scan(&m.SID, &m.Conversation, &m.From, sqldb.Opened(desk.MessageText, &m.SID, &m.Text), sqldb.Instant(&m.At)); err != nil {
			return err
		}
		if found[m.Conversation] == nil && m.Text != erasedText && strings.Contains(naming.Fold(m.Text), wanted.fold) {
			newest[m.Conversation] = m
		}
		return nil
	}, `SELECT sid, conversation, author, text, created_at FROM messages WHERE conversation IN (`+places+`) ORDER BY conversation, number`, args...); err != nil {
		return nil, err
	}
	for sid, m := range newest {
		found[sid] = wanted.excerpt(MatchText, m.Text)
		found[sid].Message, found[sid].From, found[sid].At = m.SID, m.From, m.At
	}
	return found, nil
}

// completeMatches adds the live tasks of the conversations, and the last agents and queues of closed ones.
func completeMatches(ctx context.Context, tx *desk.Tx, entries []Match) error {
	for some := range slices.Chunk(entries, sqldb.Batch) {
		bySID := map[string]*Conversation{}
		sids := make([]string, len(some))
		for i := range some {
			sids[i], bySID[some[i].SID] = some[i].SID, &some[i].Conversation
		}
		places, args := sqldb.BatchArguments(sids)
		if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
			task, err := ScanTask(r)
			if c := bySID[task.Conversation]; c != nil {
				c.Live = append(c.Live, task.Task)
			}
			return err
		}, SelectTasks+` WHERE t.conversation IN (`+places+`) AND t.completed_at = 0 AND t.canceled_at = 0`, args...); err != nil {
			return err
		}
		if err := finishConversations(ctx, tx, slices.Collect(maps.Values(bySID))...); err != nil {
			return err
		}
	}
	return nil
}
