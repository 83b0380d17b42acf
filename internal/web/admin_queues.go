package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/baton-transfers/baton/desk"
)

// queuesPage is the data of the page /admin/queues.
type queuesPage struct {
	Queues []desk.Queue
	// Names are the display names of agents.
	Names desk.Names
	// Form adds a queue.
	Form edit
}

func (v *visit) showQueues() error { return v.queueList(http.StatusOK, edit{}) }

func (v *visit) queueList(status int, e edit) error {
	queues, err := v.desk.Queues(v.ctx)
	if err != nil {
		return err
	}
	known, err := v.desk.Names(v.ctx)
	if err != nil {
		return err
	}
	return v.render(status, "admin_queues", page{Title: "Queues", Section: "admin", Body: queuesPage{queues, known, e}})
}

func (v *visit) addQueue() error {
	e := v.typed()
	added := desk.NewQueue{
		Name: strings.TrimSpace(e.Value("name")), FriendlyName: strings.TrimSpace(e.Value("friendly_name")),
		TargetWorkers: strings.TrimSpace(e.Value("target_workers")),
	}
	var err error
	if added.Name == "" && added.FriendlyName == "" {
		err = wrong("friendly_name", "type the name that people read")
	} else {
		added.Name, err = v.desk.RegisterQueue(v.acting(), added)
	}
	return v.changedOrNot(err, "/admin/queues/"+url.PathEscape(added.Name), "Added "+isolated(cmp.Or(added.FriendlyName, added.Name))+".", v.queueList)
}

// queuePage is the data of the page /admin/queues/{name}.
type queuePage struct {
	Queue desk.Queue
	Form  edit
	// Agents are all agents, Choices their names.
	Agents  []desk.Agent
	Choices desk.Choices
	// RemoveRefused is why the queue could not be removed.
	RemoveRefused string
}

func (v *visit) showQueue() error { return v.queue(http.StatusOK, queuePage{}) }

func (v *visit) queue(status int, body queuePage) error {
	queues, err := v.desk.Queues(v.ctx)
	if err != nil {
		return err
	}
	name := v.r.PathValue("name")
	at := slices.IndexFunc(queues, func(q desk.Queue) bool { return q.Name == name })
	if at < 0 {
		return notFound("There is no queue of that name: see the list of queues.")
	}
	body.Queue = queues[at]
	if body.Agents, err = v.desk.Agents(v.ctx); err != nil {
		return err
	}
	if body.Choices, err = v.desk.Choices(v.ctx); err != nil {
		return err
	}
	if body.Form.fields == nil {
		body.Form = filled(queueFields(body.Queue))
	}
	return v.render(status, "admin_queue", page{Title: isolated(body.Queue.FriendlyName), Section: "admin", Body: body})
}

// How a queue gets its members.
const (
	byHand       = "hand"
	byExpression = "expression"
)

func queueFields(q desk.Queue) url.Values {
	fields := url.Values{"friendly_name": {q.FriendlyName}, "members": {byHand}, "target_workers": {q.TargetWorkers}, "agent": q.Members}
	if q.TargetWorkers != "" {
		fields.Set("members", byExpression)
	}
	return fields
}

func (v *visit) saveQueue() error {
	name := v.r.PathValue("name")
	change, err := v.typed().queue()
	if err == nil {
		err = v.desk.UpdateQueue(v.acting(), name, change)
	}
	return v.changedOrNot(err, "/admin/queues/"+url.PathEscape(name), "Saved.", func(status int, e edit) error {
		return v.queue(status, queuePage{Form: e})
	})
}

// queue returns the changes of the form: an expression, or members that are chosen one by one.
func (e edit) queue() (desk.QueueChange, error) {
	change := desk.QueueChange{FriendlyName: e.text("friendly_name")}
	switch e.Value("members") {
	case byExpression:
		if strings.TrimSpace(e.Value("target_workers")) == "" {
			return change, wrong("target_workers", "write the expression, or name the members by hand")
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
		return change, wrong("members", "choose how the queue gets its members: by hand or by an expression")
	}
	return change, nil
}

func (v *visit) removeQueue() error {
	name := v.r.PathValue("name")
	known, err := v.desk.Names(v.ctx)
	if err != nil {
		return err
	}
	return v.changedOrNot(v.desk.RemoveQueue(v.acting(), name), "/admin/queues", "Removed "+isolated(known.Queue(name))+".", func(status int, e edit) error {
		return v.queue(status, queuePage{RemoveRefused: e.refused})
	})
}
