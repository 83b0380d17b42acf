package admin

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/web/site"
	"github.com/baton-transfers/baton/internal/web/words"
)

// queuesPage is the data of the page /admin/queues.
type queuesPage struct {
	Queues []people.Queue
	// Names are the display names of agents.
	Names desk.Names
	// Form adds a queue.
	Form edit
}

func showQueues(v *site.Visit) error { return queueList(v, http.StatusOK, edit{}) }

func queueList(v *site.Visit, status int, e edit) error {
	queues, err := people.ListQueues(v.Ctx, v.Desk)
	if err != nil {
		return err
	}
	known, err := desk.ReadNames(v.Ctx, v.Desk)
	if err != nil {
		return err
	}
	return v.Render(status, "admin_queues", site.Page{Title: "Queues", Section: "admin", Body: queuesPage{queues, known, e}})
}

func addQueue(v *site.Visit) error {
	e := typed(v)
	added := people.NewQueue{
		Name: strings.TrimSpace(e.Value("name")), FriendlyName: strings.TrimSpace(e.Value("friendly_name")),
		TargetWorkers: strings.TrimSpace(e.Value("target_workers")),
	}
	var err error
	if added.Name == "" && added.FriendlyName == "" {
		err = wrong("friendly_name", "type the name that people read")
	} else {
		added.Name, err = people.RegisterQueue(acting(v), v.Desk, added)
	}
	return changedOrNot(v, err, "/admin/queues/"+url.PathEscape(added.Name), "Added "+words.Isolated(cmp.Or(added.FriendlyName, added.Name))+".", func(status int, e edit) error {
		return queueList(v, status, e)
	})
}

// queuePage is the data of the page /admin/queues/{name}.
type queuePage struct {
	Queue people.Queue
	Form  edit
	// Agents are all agents, Choices their names.
	Agents  []people.Agent
	Choices people.Choices
	// RemoveRefused is why the queue could not be removed.
	RemoveRefused string
}

func showQueue(v *site.Visit) error { return respondQueue(v, http.StatusOK, queuePage{}) }

func respondQueue(v *site.Visit, status int, body queuePage) error {
	queues, err := people.ListQueues(v.Ctx, v.Desk)
	if err != nil {
		return err
	}
	name := v.R.PathValue("name")
	at := slices.IndexFunc(queues, func(q people.Queue) bool { return q.Name == name })
	if at < 0 {
		return site.NotFound("There is no queue of that name: see the list of queues.")
	}
	body.Queue = queues[at]
	if body.Agents, err = people.ListAgents(v.Ctx, v.Desk); err != nil {
		return err
	}
	if body.Choices, err = people.ReadChoices(v.Ctx, v.Desk); err != nil {
		return err
	}
	if body.Form.fields == nil {
		body.Form = filled(queueFields(body.Queue))
	}
	return v.Render(status, "admin_queue", site.Page{Title: words.Isolated(body.Queue.FriendlyName), Section: "admin", Body: body})
}

// How a queue gets its members.
const (
	byHand       = "hand"
	byExpression = "expression"
)

func queueFields(q people.Queue) url.Values {
	fields := url.Values{"friendly_name": {q.FriendlyName}, "members": {byHand}, "target_workers": {q.TargetWorkers}, "agent": q.Members}
	if q.TargetWorkers != "" {
		fields.Set("members", byExpression)
	}
	return fields
}

func saveQueue(v *site.Visit) error {
	name := v.R.PathValue("name")
	change, err := typed(v).queue()
	if err == nil {
		err = people.UpdateQueue(acting(v), v.Desk, name, change)
	}
	return changedOrNot(v, err, "/admin/queues/"+url.PathEscape(name), "Saved.", func(status int, e edit) error {
		return respondQueue(v, status, queuePage{Form: e})
	})
}

// queue returns the changes of the form: an expression, or members that are chosen one by one.
func (e edit) queue() (people.QueueChange, error) {
	change := people.QueueChange{FriendlyName: e.text("friendly_name")}
	switch e.Value("members") {
	case byExpression:
		if strings.TrimSpace(e.Value("target_workers")) == "" {
			return change, wrong("target_workers", "write the expression, or choose the members")
		}
		if e.changed("members") {
			change.TargetWorkers = new(strings.TrimSpace(e.Value("target_workers")))
		} else {
			change.TargetWorkers = e.text("target_workers")
		}
	case byHand:
		if e.changed("members") {
			change.TargetWorkers = new("")
		}
		change.Join, change.Leave = e.chosen("agent")
	default:
		return change, wrong("members", "choose how the queue gets its members: one by one or by an expression")
	}
	return change, nil
}

func removeQueue(v *site.Visit) error {
	name := v.R.PathValue("name")
	known, err := desk.ReadNames(v.Ctx, v.Desk)
	if err != nil {
		return err
	}
	return changedOrNot(v, people.RemoveQueue(acting(v), v.Desk, name), "/admin/queues", "Removed "+words.Isolated(known.Queue(name))+".", func(status int, e edit) error {
		return respondQueue(v, status, queuePage{RemoveRefused: e.refused})
	})
}
