package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

func reservationRoutes() []route {
	const (
		sets    = "`accepted` accepts, `rejected` declines, `wrapping` ends the agent's turn, `completed` completes it."
		refuses = "An accept is answered 409 while the agent has an open wrap-up in this conversation; `details` has the reason `wrapup_pending` and the task's SID. Voice instructions are refused, and so is WorkerActivitySid with another status than `rejected`."
	)
	return []route{
		get(taskrouter, taskPath+"/Reservations", everyone).says("Lists the task's reservations, oldest first.").with("ReservationStatus", "WorkerSid").
			lists("reservations", taskmodel.TaskrouterV1TaskReservation{}).by((*call).listTaskReservations),
		post(taskrouter, taskPath+"/Reservations", everyone, http.StatusCreated).says("Claims a waiting task for an agent: it is reserved for them.").
			but("Twilio does not document this call.").with("WorkerSid*").answers(taskmodel.TaskrouterV1TaskReservation{}).by((*call).createReservation),
		get(taskrouter, taskPath+"/Reservations/{reservation}", everyone).says("Fetches a reservation of the task.").
			answers(taskmodel.TaskrouterV1TaskReservation{}).by((*call).fetchReservation),
		post(taskrouter, taskPath+"/Reservations/{reservation}", everyone, http.StatusOK).says(sets).but(refuses).
			with("ReservationStatus", "WorkerActivitySid").without(voice...).without("Supervisor", "SupervisorMode").answers(taskmodel.TaskrouterV1TaskReservation{}).by((*call).updateReservation),
		get(taskrouter, workerPath+"/Reservations", everyone).says("Lists the agent's reservations, oldest first.").with("ReservationStatus").
			lists("reservations", taskmodel.TaskrouterV1WorkerReservation{}).by((*call).listWorkerReservations),
		get(taskrouter, workerPath+"/Reservations/{reservation}", everyone).says("Fetches a reservation of the agent.").
			answers(taskmodel.TaskrouterV1WorkerReservation{}).by((*call).fetchReservation),
		post(taskrouter, workerPath+"/Reservations/{reservation}", everyone, http.StatusOK).says(sets).but(refuses).
			with("ReservationStatus", "WorkerActivitySid").without(voice...).answers(taskmodel.TaskrouterV1WorkerReservation{}).by((*call).updateReservation),
	}
}

// renderReservation returns a reservation in the form of TaskRouter, with the URL below its task or its agent.
// names maps agents to their display names.
func (c *call) renderReservation(r desk.Reservation, names map[string]string) whole[taskmodel.TaskrouterV1TaskReservation] {
	worker := conversation.AgentSID(r.Agent)
	task := c.workspaceURL("Tasks", r.Task)
	base := task + "/Reservations/" + r.SID
	if c.r.PathValue("worker") != "" {
		base = c.workspaceURL("Workers", worker, "Reservations", r.SID)
	}
	updated := r.UpdatedAt
	if updated.IsZero() {
		updated = r.CreatedAt
	}
	return all(taskmodel.TaskrouterV1TaskReservation{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Sid: new(r.SID), TaskSid: new(r.Task), WorkerSid: new(worker),
		WorkerName: new(names[r.Agent]), ReservationStatus: new(string(r.Status)), DateCreated: date(r.CreatedAt), DateUpdated: date(updated), Url: new(base),
		Links: &map[string]any{"task": task, "worker": c.workspaceURL("Workers", worker), "workspace": c.workspaceURL()},
	})
}

func (c *call) answerReservation(r desk.Reservation, revision int) (any, error) {
	if revision > 0 {
		c.w.Header().Set("ETag", c.reservationTag(r, revision))
	}
	names, err := c.desk.AgentNames(c.ctx, r.Agent)
	if err != nil {
		return nil, err
	}
	return c.renderReservation(r, names), nil
}

// agentAsked returns the name of the agent that the path names as a worker.
func (c *call) agentAsked() (string, error) {
	digits, err := c.path("worker", conversation.PrefixAgent, "worker")
	if err != nil {
		return "", err
	}
	agent, err := c.desk.AgentName(c.ctx, conversation.PrefixAgent+digits)
	return agent, c.unknown(err, "worker", c.r.PathValue("worker"))
}

// reservationStatus reads a filter by status, or the status to set.
func (c *call) reservationStatus() (conversation.ReservationStatus, error) {
	status := conversation.ReservationStatus(c.form.Get("ReservationStatus"))
	if status != "" && !slices.Contains(reservationStatuses, status) {
		return "", c.wrong("ReservationStatus", "ReservationStatus has to be one of pending, accepted, rejected, timeout, canceled, rescinded, wrapping, completed")
	}
	return status, nil
}

var reservationStatuses = []conversation.ReservationStatus{
	conversation.ReservationPending, conversation.ReservationAccepted, conversation.ReservationRejected, conversation.ReservationTimeout,
	conversation.ReservationCanceled, conversation.ReservationRescinded, conversation.ReservationWrapping, conversation.ReservationCompleted,
}

func (c *call) listTaskReservations() (any, error) {
	task, revision, err := c.taskAsked()
	if err != nil {
		return nil, err
	}
	c.settleConversation(task.Conversation, revision)
	filter := desk.ReservationFilter{Task: task.SID, Agent: c.caller.agent()}
	worker, err := c.sid("WorkerSid", conversation.PrefixAgent)
	if err != nil {
		return nil, err
	}
	if worker != "" {
		if filter.Agent, err = c.desk.AgentName(c.ctx, worker); err != nil {
			return nil, c.unknown(err, "worker", worker)
		}
		if err := c.actAs(filter.Agent); err != nil {
			return nil, err
		}
	}
	return c.reservationsOf(filter)
}

func (c *call) listWorkerReservations() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	agent, err := c.agentAsked()
	if err != nil {
		return nil, err
	}
	if err := c.actAs(agent); err != nil {
		return nil, err
	}
	c.settle()
	return c.reservationsOf(desk.ReservationFilter{Agent: agent})
}

func (c *call) reservationsOf(filter desk.ReservationFilter) (any, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	if filter.Status, err = c.reservationStatus(); err != nil {
		return nil, err
	}
	found, err := c.desk.ReservationList(c.ctx, filter, page)
	if err != nil {
		return nil, err
	}
	agents := make([]string, len(found.Entries))
	for i, r := range found.Entries {
		agents[i] = r.Agent
	}
	names, err := c.desk.AgentNames(c.ctx, agents...)
	if err != nil {
		return nil, err
	}
	return list(c, page, found, func(r desk.Reservation) whole[taskmodel.TaskrouterV1TaskReservation] {
		return c.renderReservation(r, names)
	}), nil
}

// reservationAsked returns the reservation that the path names. With fresh set, it comes from the conversation,
// with the conversation's revision. Otherwise the desk's record is enough, which may lag by a second.
func (c *call) reservationAsked(fresh bool) (found desk.Reservation, revision int, err error) {
	if err := c.workspace(); err != nil {
		return found, 0, err
	}
	given := c.r.PathValue("reservation")
	digits, err := c.path("reservation", conversation.PrefixReservation, "reservation")
	if err != nil {
		return found, 0, err
	}
	sid := conversation.PrefixReservation + digits
	found, err = c.desk.Reservation(c.ctx, sid)
	if _, coded := asRefusal(err); err != nil && !coded {
		return found, 0, err
	}
	if err != nil || fresh {
		if found, revision, err = c.reservationNow(sid, found); err != nil {
			return found, 0, c.unknown(err, "reservation", given)
		}
	}
	if err := c.actAs(found.Agent); err != nil {
		return found, 0, err
	}
	if task := c.r.PathValue("task"); task != "" && !sameDigits(task, found.Task) {
		return found, 0, c.lost("reservation", given)
	}
	if worker := c.r.PathValue("worker"); worker != "" && !sameDigits(worker, conversation.AgentSID(found.Agent)) {
		return found, 0, c.lost("reservation", given)
	}
	return found, revision, nil
}

// sameDigits reports whether a client's text is that SID. Digits may be in either case.
func sameDigits(given, sid string) bool {
	return isSID(sid[:2], given) && strings.EqualFold(given[2:], sid[2:])
}

// reservationNow updates a reservation from its task, if it is the task's last one.
func (c *call) reservationNow(sid string, shown desk.Reservation) (desk.Reservation, int, error) {
	of := shown.Conversation
	if of == "" {
		known, ok := c.seen.of(sid)
		if !ok {
			return shown, 0, c.lost("reservation", sid)
		}
		of = known
	}
	v, err := c.viewFor(of)
	if err != nil {
		return shown, 0, err
	}
	for _, task := range v.tasks {
		if r := task.Reservation; r != nil && r.SID == sid {
			if shown.SID != "" && shown.Status == r.Status {
				return shown, v.revision, nil // the task may have changed later, which the agent must not learn
			}
			return reservationOf(task), v.revision, nil
		}
	}
	if shown.SID == "" {
		return shown, 0, c.lost("reservation", sid)
	}
	return shown, v.revision, nil
}

// reservationOf returns the task's reservation. The task must have one.
func reservationOf(task desk.Task) desk.Reservation {
	return desk.Reservation{Conversation: task.Conversation, Task: task.SID, Reservation: *task.Reservation, UpdatedAt: updatedAt(task)}
}

func (c *call) fetchReservation() (any, error) {
	found, revision, err := c.reservationAsked(true)
	if err != nil {
		return nil, err
	}
	return c.answerReservation(found, revision)
}

func (c *call) createReservation() (any, error) {
	agent, err := c.claimingAgent()
	if err != nil {
		return nil, err
	}
	task, of, err := c.claimableTask()
	if err != nil {
		return nil, err
	}
	v, err := c.viewFor(of)
	if err != nil {
		return nil, err
	}
	if now := v.task(task); now == nil || !now.Status.Waiting() && now.Agent != agent {
		return nil, c.notWaiting(task)
	}
	claimed, err := c.claim(v, task, agent)
	if err != nil {
		return nil, c.noClaim(agent, err)
	}
	if v, err = c.viewFor(of); err != nil {
		return nil, err
	}
	now := v.task(claimed)
	if now == nil || now.Reservation == nil || now.Reservation.Agent != agent {
		return nil, c.unexpected("Task %s can't be reserved for %s any more: it is not waiting for them", task, agent)
	}
	return c.answerReservation(reservationOf(*now), v.revision)
}

// claimingAgent returns the agent for whom a task is claimed. It is called before the task is read, so that an
// agent's key learns nothing about the task from a refusal of another agent or of an unknown one.
func (c *call) claimingAgent() (string, error) {
	if _, err := c.required("WorkerSid"); err != nil {
		return "", err
	}
	worker, err := c.sid("WorkerSid", conversation.PrefixAgent)
	if err != nil {
		return "", err
	}
	agent, err := c.desk.AgentName(c.ctx, worker)
	if err != nil {
		return "", err
	}
	return agent, c.actAs(agent)
}

func (c *call) notWaiting(task string) error {
	return c.unexpected("Task %s not in expected state [pending]: it does not wait for an agent", task)
}

// claimableTask returns the SIDs of the task that the path names and of its conversation. Any agent may claim the
// task while it waits.
func (c *call) claimableTask() (task, of string, err error) {
	if err := c.workspace(); err != nil {
		return "", "", err
	}
	digits, err := c.path("task", conversation.PrefixTask, "task")
	if err != nil {
		return "", "", err
	}
	task = conversation.PrefixTask + digits
	of, err = c.conversationOf(task)
	if _, unknown := asRefusal(err); unknown && c.caller.agent() != "" { // the answer for a task that does not wait
		return "", "", c.notWaiting(task)
	}
	return task, of, c.unknown(err, "task", c.r.PathValue("task"))
}

func (c *call) updateReservation() (any, error) {
	found, revision, err := c.reservationAsked(c.r.Header.Get("If-Match") != "")
	if err != nil {
		return nil, err
	}
	status, err := c.reservationStatus()
	if err != nil {
		return nil, err
	}
	if c.form.Get("WorkerActivitySid") != "" && status != conversation.ReservationRejected {
		return nil, c.wrong("WorkerActivitySid", "WorkerActivitySid is for ReservationStatus rejected: leave it out, or update the worker")
	}
	if c.token() != "" && status != "" && found.Status == status { // a repeat whose first answer was lost
		if err := c.setActivity(found.Agent, c.form.Get("WorkerActivitySid")); err != nil {
			return nil, err
		}
		return c.answerReservation(found, revision)
	}
	if err := c.ifMatch(c.reservationTag(found, revision)); err != nil {
		return nil, err
	}
	activity, err := c.activityGiven("WorkerActivitySid") // before any change
	if err != nil {
		return nil, err
	}
	if status != "" {
		outcome, expected, err := c.setReservation(found, status)
		if err != nil {
			return nil, c.reservationOver(found, status, expected, err)
		}
		if err := c.only(outcome, "Reservation", found.SID, expected, string(changedReservation(found, outcome, status).Status)); err != nil {
			return nil, err
		}
		found, revision = changedReservation(found, outcome, status), outcome.Revision
	}
	if err := c.setActivity(found.Agent, activity); err != nil {
		return nil, err
	}
	return c.answerReservation(found, revision)
}

// setActivity sets the activity of an agent who has declined, once for the request. An empty activity changes
// nothing.
func (c *call) setActivity(agent, activity string) error {
	if activity == "" {
		return nil
	}
	err := c.desk.UpdateAgent(c.changing, agent, desk.AgentChange{Activity: &activity})
	if errors.Is(err, desk.ErrDoneBefore) {
		return nil
	}
	return err
}

// setReservation sends the command for the status. It also returns the statuses that the command expects.
func (c *call) setReservation(r desk.Reservation, status conversation.ReservationStatus) (outcome conversation.Outcome, expected string, err error) {
	task := desk.Task{Conversation: r.Conversation, Task: conversation.Task{SID: r.Task, Agent: r.Agent}}
	switch status {
	case conversation.ReservationAccepted:
		if err := c.legal(r, conversation.ReservationPending); err != nil {
			return outcome, "", err
		}
		outcome, err = c.send(r.Conversation, conversation.AcceptCommand{Agent: r.Agent, Task: r.Task, Reservation: r.SID, Meta: c.command("")})
		return outcome, "pending", err
	case conversation.ReservationRejected:
		if err := c.legal(r, conversation.ReservationPending); err != nil {
			return outcome, "", err
		}
		outcome, err = c.send(r.Conversation, conversation.DeclineCommand{Agent: r.Agent, Task: r.Task, Reservation: r.SID, Meta: c.command("")})
		return outcome, "pending", err
	case conversation.ReservationWrapping:
		if err := c.legal(r, conversation.ReservationAccepted); err != nil {
			return outcome, "", err
		}
		outcome, err = c.finish(task, false, "")
		return outcome, "accepted", err
	case conversation.ReservationCompleted:
		if err := c.legal(r, conversation.ReservationAccepted, conversation.ReservationWrapping); err != nil {
			return outcome, "", err
		}
		if r.Status == conversation.ReservationWrapping {
			task.Status = conversation.TaskWrapping
		}
		outcome, err = c.finish(task, true, "")
		return outcome, "accepted, wrapping", err
	case conversation.ReservationPending, conversation.ReservationTimeout, conversation.ReservationCanceled, conversation.ReservationRescinded:
	}
	return outcome, "", c.wrong("ReservationStatus", "ReservationStatus can be set to accepted, rejected, wrapping or completed")
}

// reservationOver replaces a refusal that the conversation is closed by one that the reservation has ended.
func (c *call) reservationOver(r desk.Reservation, wanted conversation.ReservationStatus, expected string, refused error) error {
	ends := wanted == conversation.ReservationWrapping || wanted == conversation.ReservationCompleted
	if !ends || conversation.CodeOf(refused) != conversation.CodeConversationClosed {
		return refused
	}
	now, _, err := c.reservationNow(r.SID, r)
	if err != nil {
		return err
	}
	return c.unexpected("Reservation %s not in expected state [%s]: it is already %s", r.SID, expected, now.Status)
}

// legal refuses a change that is impossible from the reservation's status, before the command is sent. The
// conversation makes the final decision. A repeated request passes even if the reservation has changed since, so
// that it gets its first answer.
func (c *call) legal(r desk.Reservation, from ...conversation.ReservationStatus) error {
	gone := r.Status == conversation.ReservationAccepted || r.Status == conversation.ReservationWrapping || r.Status == conversation.ReservationCompleted
	if slices.Contains(from, r.Status) || behindRecord(r.Status, from[0]) || (c.token() != "" && gone) {
		return nil
	}
	return c.unexpected("Reservation %s not in expected state [%s]: it is %s", r.SID, from[0], r.Status)
}

// behindRecord reports whether the record may lag: it shows one status, and the reservation may have the expected
// one.
func behindRecord(shown, expected conversation.ReservationStatus) bool {
	return shown == conversation.ReservationPending && expected == conversation.ReservationAccepted
}

// changedReservation returns the reservation after the command.
func changedReservation(r desk.Reservation, outcome conversation.Outcome, status conversation.ReservationStatus) desk.Reservation {
	r.Status, r.UpdatedAt = status, time.Now()
	if t := outcome.Task; t != nil && t.Reservation != nil && t.Reservation.SID == r.SID {
		r.Status = t.Reservation.Status
	}
	return r
}
