package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/batontest"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/routing"
)

// kinds lists the body types that clients send, and some that no client sends.
var kinds = []string{
	"application/x-www-form-urlencoded", "application/json", "", "application/json; charset=utf-8", "multipart/form-data; boundary=x", "text/plain",
	"application/x-www-form-urlencoded; charset=", "a/b/c",
}

// places lists the stages in which an input may find a conversation. In the last place the conversation is over.
var places = [...]stage{has, offered, waits, passed, accepted, has}

// model is a environment that does not change. Copies of it are made, so that the effect of an input is always the
// same: no earlier input has changed the copy.
type model struct {
	folder      string
	content     []byte
	environment *environment
	// values are the values of a resources in each of the places.
	values []map[string]string

	mutex sync.Mutex
	// same holds copies that still equal the model, because their inputs were refused.
	same []*environment
}

func newModel(t testing.TB) *model {
	t.Helper()
	h := newEnvironment(t)
	m := &model{environment: h, folder: t.TempDir()}
	t.Cleanup(func() {
		for _, h := range m.same {
			require.NoError(t, h.desk.Close())
		}
	})
	for i, place := range places {
		s := permission{stage: place, hires: true}.resources(h)
		for _, name := range sceneNames {
			if name == "reservation" && place == waits || name == "transfer" && place != passed && place != accepted {
				continue // none exists yet
			}
			s.value(name)
		}
		if i == len(places)-1 {
			h.do(s.value("conversation"), conversation.EndCommand{Agent: "alice"})
			h.do(s.value("conversation"), conversation.WrapupCommand{Agent: "alice"})
		}
		m.values = append(m.values, s.made)
	}
	require.NoError(t, h.desk.Close())
	// The dispatcher may be busy: the last connection to close moves the write-ahead log into the file.
	require.Eventually(t, func() bool {
		_, err := os.Stat(h.file + "-wal")
		return errors.Is(err, fs.ErrNotExist)
	}, 30*time.Second, time.Millisecond, "until the desk's file is whole")
	var err error
	m.content, err = os.ReadFile(h.file)
	require.NoError(t, err)
	return m
}

// fill replaces names in braces in the text for a route. The worker is alice, except for calls that would remove
// her.
func (m *model) fill(r rest.Route, place int, text string) string {
	values := of(m.values, place)
	return inBraces.ReplaceAllStringFunc(text, func(name string) string {
		if name = strings.Trim(name, "{}"); name == "worker" && !rowOf(r).hires {
			name = "alice"
		}
		return values[name]
	})
}

// of returns one of the values for any number.
func of[T any](values []T, number int) T {
	return values[(number%len(values)+len(values))%len(values)]
}

// rowOf returns the route's row in the table of permissions.
func rowOf(r rest.Route) permission { return rows()[r.Method+" "+r.Path] }

// take returns a environment that equals the model.
func (m *model) take(t testing.TB) *environment {
	t.Helper()
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if n := len(m.same); n > 0 {
		h := m.same[n-1]
		m.same = m.same[:n-1]
		return h.in(t)
	}
	h := m.environment.in(t)
	folder, err := os.MkdirTemp(m.folder, "") //nolint:usetesting // it outlives the test
	require.NoError(t, err)
	h.file = filepath.Join(folder, "desk.db")
	require.NoError(t, os.WriteFile(h.file, m.content, 0o600))
	h.desk, err = desk.Open(context.WithoutCancel(t.Context()), h.file, desk.Options{})
	require.NoError(t, err)
	h.engine = batontest.NewEngine(routing.NewConversationDesk(h.desk))
	for _, sid := range m.environment.engine.SIDs() {
		require.NoError(t, h.engine.Restore(m.environment.in(t).state(sid)))
	}
	h.handler = httpapi.New(h.desk, h.sender(), rest.Options{}).Handler()
	return h
}

// giveBack returns a environment that still equals the model for another use.
func (m *model) giveBack(h *environment) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.same = append(m.same, h)
}

// serve calls the handler, and requires an answer that a client of Twilio's understands.
func (h *environment) serve(r rest.Route, path, query, kind string, body []byte, token string) answer {
	h.t.Helper()
	request := httptest.NewRequestWithContext(h.t.Context(), r.Method, "http://baton.example.com"+path, bytes.NewReader(body))
	request.URL.RawQuery = query
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if token != "" {
		request.Header.Set("Idempotency-Key", token)
	}
	request.SetBasicAuth(h.service.user, h.service.secret)
	recorder := httptest.NewRecorder()
	h.handler.ServeHTTP(recorder, request)
	a := answer{h.t, recorder.Code, recorder.Header(), recorder.Body.String()}
	a.isUnderstood(r)
	return a
}

// isUnderstood requires either the route's status and the keys of its answer, or an error in Twilio's form.
func (a answer) isUnderstood(r rest.Route) {
	a.t.Helper()
	if a.status == http.StatusNoContent {
		require.Equal(a.t, r.Status, a.status)
		require.Empty(a.t, a.body)
		return
	}
	require.Equal(a.t, "application/json; charset=utf-8", a.header.Get("Content-Type"))
	require.True(a.t, utf8.ValidString(a.body), "%q", a.body)
	var keys map[string]json.RawMessage
	a.read(&keys)
	if a.status != r.Status {
		require.True(a.t, a.status >= 400 && a.status < 500, "%d: %s", a.status, a.body)
		delete(keys, "details")
		require.ElementsMatch(a.t, []string{"code", "message", "more_info", "status"}, slices.Collect(maps.Keys(keys)))
		var told struct {
			Code, Status int
			Message      string
		}
		a.read(&told)
		require.Equal(a.t, a.status, told.Status)
		require.NotZero(a.t, told.Code)
		require.NotEmpty(a.t, told.Message)
		require.Less(a.t, utf8.RuneCountInString(told.Message), 1000, "a sentence, for any input")
		return
	}
	if r.List == "" {
		require.ElementsMatch(a.t, keysOf(r.Reply), slices.Collect(maps.Keys(keys)))
		return
	}
	require.ElementsMatch(a.t, []string{r.List, "meta"}, slices.Collect(maps.Keys(keys)))
	var entries []map[string]json.RawMessage
	require.NoError(a.t, json.Unmarshal(keys[r.List], &entries))
	for _, entry := range entries {
		require.ElementsMatch(a.t, keysOf(r.Reply), slices.Collect(maps.Keys(entry)))
	}
	var meta map[string]json.RawMessage
	require.NoError(a.t, json.Unmarshal(keys["meta"], &meta))
	require.ElementsMatch(a.t, []string{"page", "page_size", "first_page_url", "previous_page_url", "next_page_url", "url", "key"}, slices.Collect(maps.Keys(meta)))
}

// keysOf returns the keys that a model has in JSON.
func keysOf(model any) (keys []string) {
	for field := range reflect.TypeOf(model).Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		keys = append(keys, name)
	}
	return keys
}

// plausible holds values of parameters that the table of permissions does not use.
var plausible = map[string]string{
	"InteractionContextSid": "IC1", "WebhookTtid": "IW1", "ChannelSid": "{channel}", "Type": "transfer", "RoutingProperties": `{"worker_sid":"{alice}"}`,
	"FriendlyName": "Another name", "EventCallbackUrl": "https://example.com/events", "EventsFilter": "task.created,reservation.accepted",
	"Available": "true", "TaskReservationTimeout": "120", "ActivitySid": "{available}", "Attributes": `{"skills":["billing"],"rank":1}`,
	"RejectPendingReservations": "true", "Capacity": "2", "TargetWorkers": `skills HAS "billing"`, "MaxReservedWorkers": "1", "TaskOrder": "FIFO",
	"TaskChannel": "web", "WorkflowSid": "{workflow}", "TaskQueueSid": "{quiet}", "Priority": "3", "RoutingTarget": "{bob}", "IgnoreCapacity": "true",
	"Timeout": "3600", "VirtualStartTime": "2026-11-24T09:00:00Z", "AssignmentStatus": "completed", "Reason": "refunded", "WorkerSid": "{alice}",
	"ReservationStatus": "accepted", "WorkerActivitySid": "{available}", "UniqueName": "refunds-1", "State": "active", "Author": "alice", "Body": "Hello",
	"Identity": "crystals-son", "MessagingBinding.Address": "+15551234567", "MessagingBinding.ProxyAddress": "+15557654321", "Status": "closed",
	"Routing": `{"properties":{"workspace_sid":"{workspace}","workflow_sid":"{workflow}","queue_sid":"{queue}","worker_sid":"{alice}",` +
		`"task_channel_unique_name":"web","priority":1,"attributes":{"customerName":"Crystal Minh","from":"crystal@example.com"}}}`,
	"Channel":  `{"type":"web","initiated_by":"api","properties":{"media_channel_sid":"{conversation}"},"participants":[{"address":"a","name":"b"}]}`,
	"PageSize": "2", "Page": "1", "StartDate": "2026-11-24", "EndDate": "2030-01-01T00:00:00Z", "Minutes": "60", "Order": "desc", "Ordering": "DateCreated:desc",
	"EvaluateTaskAttributes": `order == "3348917502"`, "EvaluateWorkerAttributes": `{"skills":["billing"]}`, "TargetWorkersExpression": "name == 'alice'",
	"TaskQueueName": "quiet", "WorkflowName": "Default", "ActivityName": "Available", "HasAddons": "false", "EventType": "task.created", "SplitByWaitTime": "5,30",
	"TaskSid": "{task}", "ReservationSid": "{reservation}", "Sid": "{event}", "SegmentId": "{reservation}", "ReservationId": "{reservation}",
	"InteractionSid": "{interaction}", "Summary": "A note.", "PageToken": "PAMSA",
}

// wrongs lists values that clients should not send.
var wrongs = []string{
	"", " ", "{", "null", "[]", `"text"`, `{"properties":null}`, `{"type":7}`, "-1", "1e999", "99999999999999999999", "\x00", "\xff\xfe", "{wrong}",
	"WQ0123456789abcdef0123456789abcdef", "wk0123456789ABCDEF0123456789abcdef", strings.Repeat("é", 300), strings.Repeat("[", 20_000), "true", "'; DROP TABLE tasks; --",
}

var escapedBraces = regexp.MustCompile(`%7B([a-z]+)%7D`)

// encoded returns the encoded form, with names in braces left for fill.
func encoded(pairs []string) string {
	var parts []string
	for pair := range slices.Chunk(pairs, 2) {
		parts = append(parts, url.QueryEscape(pair[0])+"="+escapedBraces.ReplaceAllString(url.QueryEscape(pair[1]), "{$1}"))
	}
	return strings.Join(parts, "&")
}

// documented returns all parameters that the route takes, with plausible values.
func documented(r rest.Route) (pairs []string) {
	for _, name := range r.Takes {
		name = strings.TrimSuffix(name, "*")
		pairs = append(pairs, name, plausible[name])
	}
	return pairs
}

// input is what [FuzzBodies] sends.
type input struct {
	call, place, kind int
	query             string
	body              string
}

// inputs returns for each call an input that succeeds, one with every parameter, and slightly wrong ones.
func inputs(routes []rest.Route) (made []input) {
	wrong := 0
	next := func() string {
		wrong++
		return wrongs[wrong%len(wrongs)]
	}
	for i, r := range routes {
		row := rowOf(r)
		place := slices.Index(places[:], row.stage)
		add := func(pairs []string) {
			in := input{call: i, place: place, body: encoded(pairs)}
			if r.Method != http.MethodPost {
				in.query, in.body = in.body, ""
			}
			made = append(made, in)
		}
		if row.json != "" {
			for _, body := range []string{
				row.json, strings.ToUpper(row.json), row.json + "}", row.json[:len(row.json)-1], strings.ReplaceAll(row.json, `"`, ""),
				strings.ReplaceAll(strings.ReplaceAll(row.json, `"{`, `["{`), `}"`, `}"]`), "", "null", "[]", `{}`, `{"transfer_settings":[{},{}]}`,
				`{"transfer_settings":[{"enabled":true,"ai_summary_enabled":true}]}`, `{"noteSid":"{note}","from":"{participant}","to":"{queue}","type":"warm"}`,
			} {
				made = append(made, input{call: i, place: place, kind: 1, body: body})
			}
		}
		add(row.form)
		if r.Method != http.MethodGet {
			twice := made[slices.IndexFunc(made, func(in input) bool { return in.call == i })]
			twice.place += repeated
			made = append(made, twice)
		}
		add(documented(r))
		for n := 0; n < len(row.form); n += 2 {
			bad := slices.Clone(row.form)
			bad[n+1] = next()
			add(bad)
		}
		if r.Method == http.MethodPost && len(r.Takes) > 0 {
			bad := documented(r)
			bad[2*(wrong%len(r.Takes))+1] = next()
			add(bad)
		}
	}
	return made
}

// repeated is added to the place of an input that is sent twice with a token.
const repeated = len(places)

// send sends the input to a environment that equals the model. A repeated input must get the first answer.
func (m *model) send(t testing.TB, r rest.Route, in input) answer {
	t.Helper()
	h, token := m.take(t), ""
	if in.place/repeated%2 != 0 && r.Method != http.MethodGet {
		token = "a token"
	}
	serve := func() answer {
		return h.serve(r, m.fill(r, in.place, r.Path), m.fill(r, in.place, in.query), of(kinds, in.kind), []byte(m.fill(r, in.place, in.body)), token)
	}
	a := serve()
	if a.status != r.Status || r.Method == http.MethodGet {
		m.giveBack(h)
		return a
	}
	if token != "" {
		again := serve().is(r.Status)
		require.Equal(t, a.body, again.body)
		require.Equal(t, a.header, again.header)
	}
	require.NoError(t, h.desk.Close())
	return a
}

// inAQuery reports whether the text can be a query. A server accepts no others.
func inAQuery(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// FuzzBodies sends any input with valid credentials: the call is carried out or refused in Twilio's form, and does
// not crash. Names in braces are replaced, so that an input can name existing resources.
func FuzzBodies(f *testing.F) {
	m := newModel(f)
	routes := httpapi.Routes()
	for _, in := range inputs(routes) {
		f.Add(in.call, in.place, in.kind, in.query, []byte(in.body))
	}
	f.Fuzz(func(t *testing.T, call, place, kind int, query string, body []byte) {
		if !inAQuery(query) || len(body) > rest.MaxBody {
			return // no server accepts such a request
		}
		t.Parallel()
		r := of(routes, call)
		m.send(t, r, input{place: place, kind: kind, query: query, body: string(body)})
	})
}

// FuzzPageToken requests any page: it is answered or refused, and the links in an answer work.
func FuzzPageToken(f *testing.F) {
	m := newModel(f)
	var lists []rest.Route
	for _, r := range httpapi.Routes() {
		if r.List != "" {
			lists = append(lists, r)
		}
	}
	for i := range lists {
		for n, page := range [][3]string{
			{"", "", ""},
			{"1", "0", ""},
			{"2", "1", ""},
			{"1000", "", ""},
			{"0", "", ""},
			{"1001", "-1", ""},
			{"x", "1e9", "x"},
			{"1", "", "PAMSA"},
			{"1", "1", "PBMiA"},
			{"1", "", "PA"},
			{"1", "", "PBLTk5OTk5OTk5OTk5OTk5OTk5OTk5IA"},
			{"50", "9223372036854775807", "PAMCA"},
			{"1", "", "PBLTkyMjMzNzIwMzY4NTQ3NzU4MDgg"},
			{"1", "", "PAOTIyMzM3MjAzNjg1NDc3NTgwNyD_"},
			{"1", "1000000", "PA="},
			{"1", "", "PCMSA"},
		} {
			if (i+n)%3 == 0 {
				f.Add(i, page[0], page[1], page[2])
			}
		}
	}
	h := m.take(f)
	defer m.giveBack(h)
	f.Fuzz(func(t *testing.T, list int, size, page, token string) {
		h, r := h.in(t), of(lists, list)
		path := m.fill(r, 0, r.Path)
		query := url.Values{"PageSize": {size}, "Page": {page}, "PageToken": {token}, "InteractionSid": {m.fill(r, 0, "{interaction}")}}
		a := h.serve(r, path, query.Encode(), "", nil, "")
		if a.status != http.StatusOK {
			return
		}
		for _, link := range a.linked(size, r.List) {
			to, err := url.Parse(link)
			require.NoError(t, err)
			require.Equal(t, path, to.Path)
			h.serve(r, path, to.RawQuery, "", nil, "").is(http.StatusOK).linked(size, r.List)
		}
	})
}

// linked returns the URLs that a page links to, and requires that it has no more entries than requested.
func (a answer) linked(size, key string) (links []string) {
	a.t.Helper()
	var all map[string]json.RawMessage
	a.read(&all)
	var entries []json.RawMessage
	require.NoError(a.t, json.Unmarshal(all[key], &entries))
	var meta struct {
		First    string  `json:"first_page_url"`
		Own      string  `json:"url"`
		Previous *string `json:"previous_page_url"`
		Next     *string `json:"next_page_url"`
		Size     int     `json:"page_size"`
		Key      string  `json:"key"`
	}
	require.NoError(a.t, json.Unmarshal(all["meta"], &meta))
	require.Equal(a.t, key, meta.Key)
	if wanted, err := strconv.Atoi(size); err == nil {
		require.Equal(a.t, wanted, meta.Size)
	}
	require.LessOrEqual(a.t, len(entries), meta.Size)
	links = []string{meta.First, meta.Own}
	for _, link := range []*string{meta.Previous, meta.Next} {
		if link != nil {
			links = append(links, *link)
		}
	}
	return links
}

// A seed is useful only if it succeeds: each call has one that does.
func TestEveryCallHasAnInputThatSucceeds(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	routes := httpapi.Routes()
	all := inputs(routes)
	for i, r := range routes {
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			t.Parallel()
			require.True(t, slices.ContainsFunc(all, func(in input) bool {
				return in.call == i && m.send(t, r, in).status == r.Status
			}))
		})
	}
}

// A path that names a missing or impossible resource is not found, with everything else valid.
func TestPathsThatNameNothing(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	for _, r := range httpapi.Routes() {
		row := rowOf(r)
		names := inBraces.FindAllString(r.Path, -1)
		if len(names) == 0 {
			continue
		}
		t.Run(row.call, func(t *testing.T) {
			t.Parallel()
			s := row.resources(h.in(t))
			for i, name := range names {
				none := prefixOf(s, name) + strings.Repeat("0", 32)
				for _, wrong := range []string{none, []string{"%00", "%ff%fe", "..%2F..%2F", strings.Repeat("x", 3000)}[i]} {
					lost := row
					lost.call = strings.Replace(row.call, name, wrong, 1)
					a := lost.ask(s, h.service)
					require.Equal(t, http.StatusNotFound, a.status, "%s: %s", lost.call, a.body)
					a.isUnderstood(r)
				}
			}
		})
	}
}

// prefixOf returns the prefix of the SID with that name; "" if its value is not a SID.
func prefixOf(s *resources, name string) string {
	if value := s.fill(name); len(value) == 34 {
		return value[:2]
	}
	return ""
}
