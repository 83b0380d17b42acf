package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	conversationapi "github.com/twilio/twilio-go/rest/conversations/v1"
	taskapi "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
)

// page is one page of a list.
type page struct {
	sids []string
	meta map[string]any
}

// reads fetches a page by its address.
func (a *api) reads(address string) page {
	a.t.Helper()
	got := a.does(http.StatusOK, http.MethodGet, address, nil)
	p := page{meta: got["meta"].(map[string]any)}
	for _, entry := range got[p.meta["key"].(string)].([]any) {
		p.sids = append(p.sids, entry.(map[string]any)["sid"].(string))
	}
	return p
}

// next and previous are the addresses of the neighboring pages, or "".
func (p page) next() string { return p.beside("next_page_url") }

func (p page) previous() string { return p.beside("previous_page_url") }

func (p page) beside(key string) string {
	address, _ := p.meta[key].(string)
	return address
}

// forwards follows a list to its end, and runs meanwhile between the pages.
func (a *api) forwards(address string, meanwhile func()) (pages []page) {
	a.t.Helper()
	for address != "" {
		pages = append(pages, a.reads(address))
		address = pages[len(pages)-1].next()
		meanwhile()
	}
	return pages
}

// backwards follows a list from a page to its beginning, and returns its pages in list order.
func (a *api) backwards(from page, meanwhile func()) (pages []page) {
	a.t.Helper()
	for address := from.previous(); address != ""; {
		earlier := a.reads(address)
		pages = append([]page{earlier}, pages...)
		address = earlier.previous()
		meanwhile()
	}
	return append(pages, from)
}

func sidsOf(pages []page) (sids []string) {
	for _, p := range pages {
		sids = append(sids, p.sids...)
	}
	return sids
}

// growing is a list that grows at one of its ends, or in between.
type growing struct {
	address string
	// add adds an entry, and returns its SID.
	add func(*api) string
	// newestFirst is set if entries are added at the beginning, byName if they are added in between.
	newestFirst, byName bool
}

// Lists can be paged in both directions: Twilio's library follows the pages forwards, plain requests in both
// directions.
func TestHTTPLists(t *testing.T) { //nolint:tparallel // one list grows at a time
	t.Parallel()
	f := openHTTP(t)
	listTasksAsAsked(t, f)
	service := f.unlimited(t)
	transcript := service.opens()
	waiting, direct := f.nobodys(t, "paged"), f.hired(t)
	task := func(a *api) string { return its(a.creates((&taskapi.CreateTaskParams{}).SetTaskQueueSid(waiting)).Sid) }
	named := func(collection string, more ...string) func(*api) string {
		return func(a *api) string {
			return a.does(http.StatusCreated, http.MethodPost, a.inWorkspace(collection), form(append([]string{"FriendlyName", a.unused("paged")}, more...)...))["sid"].(string)
		}
	}
	message := func(a *api) string {
		said, err := a.ConversationsV1.CreateConversationMessage(transcript, (&conversationapi.CreateConversationMessageParams{}).SetBody("More."))
		require.NoError(a.t, err)
		return its(said.Sid)
	}
	for name, list := range map[string]growing{ //nolint:paralleltest // the lists have entries of each other
		"tasks":  {address: service.inWorkspace("/Tasks?TaskQueueSid=" + waiting), add: task},
		"events": {address: service.inWorkspace("/Events?EventType=task.created"), add: func(a *api) string { return a.eventOf(task(a)) }, newestFirst: true},
		"reservations": {address: service.inWorkspace("/Workers/" + conversation.AgentSID(direct) + "/Reservations"), add: func(a *api) string {
			return its(a.pendingOf(direct, a.startsWith(map[string]any{"queue_sid": waiting, "worker_sid": conversation.AgentSID(direct)}).task).Sid)
		}},
		"conversations":              {address: conversationsHost + "/v1/Conversations", add: (*api).opens, newestFirst: true},
		"messages":                   {address: conversationsHost + "/v1/Conversations/" + transcript + "/Messages", add: message},
		"messages, the newest first": {address: conversationsHost + "/v1/Conversations/" + transcript + "/Messages?Order=desc", add: message, newestFirst: true},
		"workers":                    {address: service.inWorkspace("/Workers"), add: named("/Workers"), byName: true},
		"queues":                     {address: service.inWorkspace("/TaskQueues"), add: named("/TaskQueues", "TargetWorkers", "1==0"), byName: true},
		"activities":                 {address: service.inWorkspace("/Activities"), add: named("/Activities"), byName: true},
	} {
		t.Run(name, func(t *testing.T) {
			readToItsEnds(t, f.unlimited(t), list)
		})
	}
}

// opens starts a conversation that waits for an agent.
func (a *api) opens() string {
	a.t.Helper()
	opened, err := a.ConversationsV1.CreateConversation(nil)
	require.NoError(a.t, err)
	return its(opened.Sid)
}

// hired adds an agent who only gets tasks sent to them directly.
func (f *httpEnvironment) hired(t *testing.T) string {
	t.Helper()
	name := f.unlimited(t).unused("paged")
	f.hire(t, name, 1000)
	return name
}

// eventOf returns the SID of the event that created the task.
func (a *api) eventOf(task string) string {
	a.t.Helper()
	events, err := a.TaskrouterV1.ListEvent(a.workspace, (&taskapi.ListEventParams{}).SetTaskSid(task).SetEventType("task.created"))
	require.NoError(a.t, err)
	require.Len(a.t, events, 1)
	return its(events[0].Sid)
}

func readToItsEnds(t *testing.T, a *api, list growing) {
	t.Helper()
	const atFirst = 7
	sized := func(size int) string {
		separator := "?"
		if strings.Contains(list.address, "?") {
			separator = "&"
		}
		return list.address + separator + "PageSize=" + strconv.Itoa(size)
	}
	nothing := func() {}
	var added []string
	for range atFirst {
		added = append(added, list.add(a))
	}
	whole := sidsOf(a.forwards(sized(100), nothing))
	require.Subset(t, whole, added)
	if !list.byName {
		requireInOrder(t, whole, added, list.newestFirst)
	}

	// In pages of every size, forwards and backwards, the list is the same.
	for _, size := range []int{1, 3, len(whole) - 1, len(whole)} {
		pages := a.forwards(sized(size), nothing)
		require.Equal(t, whole, sidsOf(pages), "in pages of %d", size)
		require.Empty(t, pages[0].previous(), "nothing comes before the first page")
		for i, p := range pages {
			require.InDelta(t, i, p.meta["page"], 0)
			require.InDelta(t, size, p.meta["page_size"], 0)
			require.Equal(t, pages[0].sids, a.reads(p.meta["first_page_url"].(string)).sids)
			require.Equal(t, p.sids, a.reads(p.meta["url"].(string)).sids, "a page's own address leads to it")
			require.Equal(t, p.sids, a.reads(sized(size)+"&Page="+strconv.Itoa(i)).sids, "by its number")
		}
		require.Equal(t, whole, sidsOf(a.backwards(pages[len(pages)-1], nothing)), "backwards in pages of %d", size)
	}
	beyond := a.reads(sized(3) + "&Page=1000")
	require.Empty(t, beyond.sids)
	require.Empty(t, beyond.next())

	// Entries that are added meanwhile shift nothing: the earlier entries appear once.
	if list.byName {
		return // a short list, whose pages are offsets
	}
	var more []string
	grow := func() { more = append(more, list.add(a)) }
	pages := a.forwards(sized(3)+"&Page=0", func() {
		if len(more) < atFirst {
			grow()
		}
	})
	requireOnce(t, whole, sidsOf(pages))
	was := sidsOf(a.forwards(sized(100), nothing))
	last := pages[len(pages)-1]
	back := a.backwards(last, grow)
	requireOnce(t, was[:slices.Index(was, last.sids[0])], sidsOf(back[:len(back)-1]))
}

// requireInOrder requires that the entries come in the order in which they were added, or in reverse.
func requireInOrder(t *testing.T, whole, added []string, newestFirst bool) {
	t.Helper()
	var shown []string
	for _, sid := range whole {
		if slices.Contains(added, sid) {
			shown = append(shown, sid)
		}
	}
	if newestFirst {
		slices.Reverse(shown)
	}
	require.Equal(t, added, shown)
}

// requireOnce requires that each of the entries was read, and none twice.
func requireOnce(t *testing.T, wanted, read []string) {
	t.Helper()
	times := map[string]int{}
	for _, sid := range read {
		times[sid]++
	}
	for sid, count := range times {
		require.Equal(t, 1, count, "%s was read so often", sid)
	}
	require.Subset(t, slices.Collect(maps.Keys(times)), wanted)
}

// listTasksAsAsked lists all tasks with every filter and order.
func listTasksAsAsked(t *testing.T, f *httpEnvironment) {
	t.Helper()
	service := f.unlimited(t)
	first, second := f.nobodys(t, "first"), f.nobodys(t, "second")
	_, err := service.TaskrouterV1.UpdateTaskQueue(service.workspace, second, (&taskapi.UpdateTaskQueueParams{}).SetFriendlyName("The Second"))
	require.NoError(t, err)
	added, err := service.TaskrouterV1.CreateWorkflow(service.workspace, (&taskapi.CreateWorkflowParams{}).
		SetFriendlyName("By order").SetConfiguration(fmt.Sprintf(toSupport, second)))
	require.NoError(t, err)
	workflow := its(added.Sid)

	// Nine tasks: of each queue, with different priorities and attributes, and one by the workflow.
	var sids []string
	for i := range 8 {
		params := (&taskapi.CreateTaskParams{}).SetPriority(i % 3).SetAttributes(fmt.Sprintf(`{"order":%d,"shop":{"city":"Zürich"},"tags":["a%d"]}`, i, i%2))
		params.SetTaskQueueSid([]string{first, second}[i%2])
		if i == 2 {
			params.SetRoutingTarget(conversation.AgentSID("alice"))
		}
		sids = append(sids, its(service.creates(params).Sid))
	}
	sids = append(sids, its(service.creates((&taskapi.CreateTaskParams{}).SetWorkflowSid(workflow).SetAttributes(`{"order":8}`)).Sid))
	for _, sid := range sids[:2] {
		service.does(http.StatusOK, http.MethodPost, service.inWorkspace("/Tasks/"+sid), form("AssignmentStatus", "canceled", "Reason", "not needed"))
	}
	service.pendingOf("alice", sids[2])

	of := func(numbers ...int) (chosen []string) {
		chosen = []string{}
		for _, n := range numbers {
			chosen = append(chosen, sids[n])
		}
		return chosen
	}
	everything := of(0, 1, 2, 3, 4, 5, 6, 7, 8)
	for name, asked := range map[string]struct {
		params *taskapi.ListTaskParams
		wanted []string
	}{
		"all":                    {&taskapi.ListTaskParams{}, everything},
		"in pages of two":        {(&taskapi.ListTaskParams{}).SetPageSize(2), everything},
		"at most five":           {(&taskapi.ListTaskParams{}).SetPageSize(2).SetLimit(5), everything[:5]},
		"a status":               {(&taskapi.ListTaskParams{}).SetAssignmentStatus([]string{"canceled"}), of(0, 1)},
		"statuses, repeated":     {(&taskapi.ListTaskParams{}).SetAssignmentStatus([]string{"canceled", "reserved"}).SetPageSize(1), of(0, 1, 2)},
		"statuses, joined":       {(&taskapi.ListTaskParams{}).SetAssignmentStatus([]string{"canceled,reserved"}).SetPageSize(1), of(0, 1, 2)},
		"a status nothing has":   {(&taskapi.ListTaskParams{}).SetAssignmentStatus([]string{"wrapping"}), of()},
		"a queue":                {(&taskapi.ListTaskParams{}).SetTaskQueueSid(first).SetPageSize(3), of(0, 2, 4, 6)},
		"a queue's name":         {(&taskapi.ListTaskParams{}).SetTaskQueueName("The Second").SetPageSize(3), of(1, 3, 5, 7, 8)},
		"no such queue's name":   {(&taskapi.ListTaskParams{}).SetTaskQueueName("second"), of()},
		"a queue and a status":   {(&taskapi.ListTaskParams{}).SetTaskQueueSid(first).SetAssignmentStatus([]string{"pending"}), of(4, 6)},
		"a workflow":             {(&taskapi.ListTaskParams{}).SetWorkflowSid(workflow), of(8)},
		"a workflow's name":      {(&taskapi.ListTaskParams{}).SetWorkflowName("By order"), of(8)},
		"the default workflow":   {(&taskapi.ListTaskParams{}).SetWorkflowName("Default").SetPageSize(3), everything[:8]},
		"a priority":             {(&taskapi.ListTaskParams{}).SetPriority(2).SetPageSize(1), of(2, 5)},
		"attributes":             {(&taskapi.ListTaskParams{}).SetEvaluateTaskAttributes(`order > 5 AND shop.city == "Zürich"`).SetPageSize(1), of(6, 7)},
		"attributes in a list":   {(&taskapi.ListTaskParams{}).SetEvaluateTaskAttributes(`tags HAS "a1"`).SetPageSize(2), of(1, 3, 5, 7)},
		"the newest first":       {(&taskapi.ListTaskParams{}).SetOrdering("DateCreated:desc").SetPageSize(2), of(8, 7, 6, 5, 4, 3, 2, 1, 0)},
		"the oldest first":       {(&taskapi.ListTaskParams{}).SetOrdering("DateCreated:asc").SetPageSize(4), everything},
		"a routing target":       {(&taskapi.ListTaskParams{}).SetRoutingTarget(conversation.AgentSID("alice")), of(2)},
		"another's":              {(&taskapi.ListTaskParams{}).SetRoutingTarget(conversation.AgentSID("bob")), of()},
		"no one's":               {(&taskapi.ListTaskParams{}).SetRoutingTarget("WK" + i32("0")), of()},
		"with addons":            {(&taskapi.ListTaskParams{}).SetHasAddons(true), of()},
		"without addons, on one": {(&taskapi.ListTaskParams{}).SetHasAddons(false).SetPageSize(1000), everything},
	} {
		listed, err := service.TaskrouterV1.ListTask(service.workspace, asked.params)
		require.NoError(t, err, name)
		found := []string{}
		for _, task := range listed {
			found = append(found, its(task.Sid))
		}
		require.Equal(t, asked.wanted, found, name)
	}

	// By priority: the order of equal priorities is undefined, but no task is missing or repeated.
	for ordering, wanted := range map[string][]int{"Priority:desc": {2, 2, 1, 1, 1, 0, 0, 0, 0}, "Priority:asc": {0, 0, 0, 0, 1, 1, 1, 2, 2}, "Priority": {0, 0, 0, 0, 1, 1, 1, 2, 2}} {
		var found []string
		var priorities []int
		tasks, failed := service.TaskrouterV1.StreamTask(service.workspace, (&taskapi.ListTaskParams{}).SetOrdering(ordering).SetPageSize(2))
		for task := range tasks {
			found, priorities = append(found, its(task.Sid)), append(priorities, task.Priority)
		}
		require.NoError(t, <-failed)
		require.Equal(t, wanted, priorities, ordering)
		require.ElementsMatch(t, everything, found, ordering)
	}

	// The filter applies to every page.
	filtered := service.reads(service.inWorkspace("/Tasks?PageSize=1&AssignmentStatus=canceled&AssignmentStatus=reserved"))
	next, err := url.Parse(filtered.next())
	require.NoError(t, err)
	require.Equal(t, []string{"canceled", "reserved"}, next.Query()["AssignmentStatus"])
	require.Equal(t, of(0, 1, 2), sidsOf(service.forwards(filtered.meta["url"].(string), func() {})))
}
