package taskrouter

import (
	"errors"
	"net/http"
	"slices"
	"time"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/httpapi/tasks"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
)

func reservationRoutes() []rest.Route {
	const (
		sets    = "`accepted` accepts, `rejected` declines, `wrapping` ends the agent's turn, `completed` completes it."
		refuses = "An accept is answered 409 while the agent has an open wrap-up in this conversation; `details` has the reason `wrapup_pending` and the task's SID. Voice instructions are refused, and so is WorkerActivitySid with another status than `rejected`."
	)
	return []rest.Route{
		rest.Get(taskPath+"/Reservations", rest.Everyone).Says("Lists the task's reservations, oldest first.").With("ReservationStatus", "WorkerSid").
			Lists("reservations", taskmodel.TaskrouterV1TaskReservation{}).By(listTaskReservations),
		rest.Post(taskPath+"/Reservations", rest.Everyone, http.StatusCreated).Says("Claims a waiting task for an agent: it is reserved for them.").
			But("Twilio does not document this call.").With("WorkerSid*").Answers(taskmodel.TaskrouterV1TaskReservation{}).By(createReservation),
		rest.Get(taskPath+"/Reservations/{reservation}", rest.Everyone).Says("Fetches a reservation of the task.").
			Answers(taskmodel.TaskrouterV1TaskReservation{}).By(fetchReservation),
		rest.Post(taskPath+"/Reservations/{reservation}", rest.Everyone, http.StatusOK).Says(sets).But(refuses).
			With("ReservationStatus", "WorkerActivitySid").Without(voice...).Without("Supervisor", "SupervisorMode").Answers(taskmodel.TaskrouterV1TaskReservation{}).By(updateReservation),
		rest.Get(workerPath+"/Reservations", rest.Everyone).Says("Lists the agent's reservations, oldest first.").With("ReservationStatus").
			Lists("reservations", taskmodel.TaskrouterV1WorkerReservation{}).By(listWorkerReservations),
		rest.Get(workerPath+"/Reservations/{reservation}", rest.Everyone).Says("Fetches a reservation of the agent.").
			Answers(taskmodel.TaskrouterV1WorkerReservation{}).By(fetchReservation),
		rest.Post(workerPath+"/Reservations/{reservation}", rest.Everyone, http.StatusOK).Says(sets).But(refuses).
			With("ReservationStatus", "WorkerActivitySid").Without(voice...).Answers(taskmodel.TaskrouterV1WorkerReservation{}).By(updateReservation),
	}
}

// renderReservation returns a reservation in the form of TaskRouter, with the URL below its task or its agent.
// names maps agents to their display names.
func renderReservation(c *rest.Call, r records.Reservation, names map[string]string) rest.Whole[taskmodel.TaskrouterV1TaskReservation] {
	worker := conversation.AgentSID(r.Agent)
	task := c.WorkspaceURL("Tasks", r.Task)
	base := task + "/Reservations/" + r.SID
	if c.Request.PathValue("worker") != "" {
		base = c.WorkspaceURL("Workers", worker, "Reservations", r.SID)
	}
	updated := r.UpdatedAt
	if updated.IsZero() {
		updated = r.CreatedAt
	}
	return rest.All(taskmodel.TaskrouterV1TaskReservation{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Sid: new(r.SID), TaskSid: new(r.Task), WorkerSid: new(worker),
		WorkerName: new(names[r.Agent]), ReservationStatus: new(string(r.Status)), DateCreated: rest.Date(r.CreatedAt), DateUpdated: rest.Date(updated), Url: new(base),
		Links: &map[string]any{"task": task, "worker": c.WorkspaceURL("Workers", worker), "workspace": c.WorkspaceURL()},
	})
}

func answerReservation(c *rest.Call, r records.Reservation, revision int) (any, error) {
	if revision > 0 {
		c.SetETag(reservationTag(c, r, revision))
	}
	names, err := desk.AgentNames(c.Ctx, c.Desk, r.Agent)
	if err != nil {
		return nil, err
	}
	return renderReservation(c, r, names), nil
}

// agentAsked returns the name of the agent that the path names as a worker.
func agentAsked(c *rest.Call) (string, error) {
	digits, err := c.Path("worker", conversation.PrefixAgent, "worker")
	if err != nil {
		return "", err
	}
	agent, err := people.AgentNameOf(c.Ctx, c.Desk, conversation.PrefixAgent+digits)
	return agent, lostIfRefused(c, err, "worker", c.Request.PathValue("worker"))
}

// reservationStatus reads a filter by status, or the status to set.
func reservationStatus(c *rest.Call) (conversation.ReservationStatus, error) {
	status := conversation.ReservationStatus(c.Form.Get("ReservationStatus"))
	if status != "" && !slices.Contains(reservationStatuses, status) {
		return "", c.Wrong("ReservationStatus", "ReservationStatus has to be one of pending, accepted, rejected, timeout, canceled, rescinded, wrapping, completed")
	}
	return status, nil
}

var reservationStatuses = []conversation.ReservationStatus{
	conversation.ReservationPending, conversation.ReservationAccepted, conversation.ReservationRejected, conversation.ReservationTimeout,
	conversation.ReservationCanceled, conversation.ReservationRescinded, conversation.ReservationWrapping, conversation.ReservationCompleted,
}

func listTaskReservations(c *rest.Call) (any, error) {
	task, revision, err := taskAsked(c)
	if err != nil {
		return nil, err
	}
	c.SettleConversation(task.Conversation, revision)
	filter := records.ReservationFilter{Task: task.SID, Agent: c.Caller.Agent()}
	worker, err := c.SID("WorkerSid", conversation.PrefixAgent)
	if err != nil {
		return nil, err
	}
	if worker != "" {
		if filter.Agent, err = people.AgentNameOf(c.Ctx, c.Desk, worker); err != nil {
			return nil, lostIfRefused(c, err, "worker", worker)
		}
		if err := c.ActAs(filter.Agent); err != nil {
			return nil, err
		}
	}
	return reservationsOf(c, filter)
}

func listWorkerReservations(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	agent, err := agentAsked(c)
	if err != nil {
		return nil, err
	}
	if err := c.ActAs(agent); err != nil {
		return nil, err
	}
	c.Settle()
	return reservationsOf(c, records.ReservationFilter{Agent: agent})
}

func reservationsOf(c *rest.Call, filter records.ReservationFilter) (any, error) {
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	if filter.Status, err = reservationStatus(c); err != nil {
		return nil, err
	}
	found, err := records.ReservationPage(c.Ctx, c.Desk, filter, page)
	if err != nil {
		return nil, err
	}
	agents := make([]string, len(found.Entries))
	for i, r := range found.Entries {
		agents[i] = r.Agent
	}
	names, err := desk.AgentNames(c.Ctx, c.Desk, agents...)
	if err != nil {
		return nil, err
	}
	return rest.List(c, page, found, func(r records.Reservation) rest.Whole[taskmodel.TaskrouterV1TaskReservation] {
		return renderReservation(c, r, names)
	}), nil
}

// reservationAsked returns the reservation that the path names. With fresh set, it comes from the conversation,
// with the conversation's revision. Otherwise the desk's record is enough, which may lag by a second.
func reservationAsked(c *rest.Call, fresh bool) (found records.Reservation, revision int, err error) {
	if err := checkWorkspace(c); err != nil {
		return found, 0, err
	}
	given := c.Request.PathValue("reservation")
	digits, err := c.Path("reservation", conversation.PrefixReservation, "reservation")
	if err != nil {
		return found, 0, err
	}
	sid := conversation.PrefixReservation + digits
	found, err = records.FindReservation(c.Ctx, c.Desk, sid)
	if _, coded := rest.AsRefusal(err); err != nil && !coded {
		return found, 0, err
	}
	if err != nil || fresh {
		if found, revision, err = reservationNow(c, sid, found); err != nil {
			return found, 0, lostIfRefused(c, err, "reservation", given)
		}
	}
	if err := c.ActAs(found.Agent); err != nil {
		return found, 0, err
	}
	if task := c.Request.PathValue("task"); task != "" && !rest.SameDigits(task, found.Task) {
		return found, 0, c.Lost("reservation", given)
	}
	if worker := c.Request.PathValue("worker"); worker != "" && !rest.SameDigits(worker, conversation.AgentSID(found.Agent)) {
		return found, 0, c.Lost("reservation", given)
	}
	return found, revision, nil
}

// reservationNow updates a reservation from its task, if it is the task's last one.
func reservationNow(c *rest.Call, sid string, shown records.Reservation) (records.Reservation, int, error) {
	of := shown.Conversation
	if of == "" {
		known, ok := c.SeenIn(sid)
		if !ok {
			return shown, 0, c.Lost("reservation", sid)
		}
		of = known
	}
	v, err := c.ViewFor(of)
	if err != nil {
		return shown, 0, err
	}
	for _, task := range v.Tasks {
		if r := task.Reservation; r != nil && r.SID == sid {
			if shown.SID != "" && shown.Status == r.Status {
				return shown, v.Revision, nil // the task may have changed later, which the agent must not learn
			}
			return reservationOf(task), v.Revision, nil
		}
	}
	if shown.SID == "" {
		return shown, 0, c.Lost("reservation", sid)
	}
	return shown, v.Revision, nil
}

// reservationOf returns the task's reservation. The task must have one.
func reservationOf(task records.Task) records.Reservation {
	return records.Reservation{Conversation: task.Conversation, Task: task.SID, Reservation: *task.Reservation, UpdatedAt: tasks.UpdatedAt(task)}
}

func fetchReservation(c *rest.Call) (any, error) {
	found, revision, err := reservationAsked(c, true)
	if err != nil {
		return nil, err
	}
	return answerReservation(c, found, revision)
}

func createReservation(c *rest.Call) (any, error) {
	agent, err := claimingAgent(c)
	if err != nil {
		return nil, err
	}
	task, of, err := claimableTask(c)
	if err != nil {
		return nil, err
	}
	v, err := c.ViewFor(of)
	if err != nil {
		return nil, err
	}
	if now := v.Task(task); now == nil || !now.Status.Waiting() && now.Agent != agent {
		return nil, notWaiting(c, task)
	}
	claimed, err := tasks.Claim(c, v, task, agent)
	if err != nil {
		return nil, tasks.NoClaim(c, agent, err)
	}
	if v, err = c.ViewFor(of); err != nil {
		return nil, err
	}
	now := v.Task(claimed)
	if now == nil || now.Reservation == nil || now.Reservation.Agent != agent {
		return nil, c.Unexpected("Task %s can't be reserved for %s any more: it is not waiting for them", task, agent)
	}
	return answerReservation(c, reservationOf(*now), v.Revision)
}

// claimingAgent returns the agent for whom a task is claimed. It is called before the task is read, so that an
// agent's key learns nothing about the task from a refusal of another agent or of an unknown one.
func claimingAgent(c *rest.Call) (string, error) {
	if _, err := c.Required("WorkerSid"); err != nil {
		return "", err
	}
	worker, err := c.SID("WorkerSid", conversation.PrefixAgent)
	if err != nil {
		return "", err
	}
	agent, err := people.AgentNameOf(c.Ctx, c.Desk, worker)
	if err != nil {
		return "", err
	}
	return agent, c.ActAs(agent)
}

func notWaiting(c *rest.Call, task string) error {
	return c.Unexpected("Task %s not in expected state [pending]: it does not wait for an agent", task)
}

// claimableTask returns the SIDs of the task that the path names and of its conversation. Any agent may claim the
// task while it waits.
func claimableTask(c *rest.Call) (task, of string, err error) {
	if err := checkWorkspace(c); err != nil {
		return "", "", err
	}
	digits, err := c.Path("task", conversation.PrefixTask, "task")
	if err != nil {
		return "", "", err
	}
	task = conversation.PrefixTask + digits
	of, err = conversationOf(c, task)
	if _, unknown := rest.AsRefusal(err); unknown && c.Caller.Agent() != "" { // the answer for a task that does not wait
		return "", "", notWaiting(c, task)
	}
	return task, of, lostIfRefused(c, err, "task", c.Request.PathValue("task"))
}

func updateReservation(c *rest.Call) (any, error) {
	found, revision, err := reservationAsked(c, c.Request.Header.Get("If-Match") != "")
	if err != nil {
		return nil, err
	}
	status, err := reservationStatus(c)
	if err != nil {
		return nil, err
	}
	if c.Form.Get("WorkerActivitySid") != "" && status != conversation.ReservationRejected {
		return nil, c.Wrong("WorkerActivitySid", "WorkerActivitySid is for ReservationStatus rejected: leave it out, or update the worker")
	}
	if c.Token() != "" && status != "" && found.Status == status { // a repeat whose first answer was lost
		if err := setActivity(c, found.Agent, c.Form.Get("WorkerActivitySid")); err != nil {
			return nil, err
		}
		return answerReservation(c, found, revision)
	}
	if err := checkIfMatch(c, reservationTag(c, found, revision)); err != nil {
		return nil, err
	}
	activity, err := activityGiven(c, "WorkerActivitySid") // before any change
	if err != nil {
		return nil, err
	}
	if status != "" {
		outcome, expected, err := setReservation(c, found, status)
		if err != nil {
			return nil, reservationOver(c, found, status, expected, err)
		}
		if err := refuseUnchanged(c, outcome, "Reservation", found.SID, expected, string(changedReservation(found, outcome, status).Status)); err != nil {
			return nil, err
		}
		found, revision = changedReservation(found, outcome, status), outcome.Revision
	}
	if err := setActivity(c, found.Agent, activity); err != nil {
		return nil, err
	}
	return answerReservation(c, found, revision)
}

// setActivity sets the activity of an agent who has declined, once for the request. An empty activity changes
// nothing.
func setActivity(c *rest.Call, agent, activity string) error {
	if activity == "" {
		return nil
	}
	err := people.UpdateAgent(c.Changing, c.Desk, agent, people.AgentChange{Activity: &activity})
	if errors.Is(err, desk.ErrDoneBefore) {
		return nil
	}
	return err
}

// setReservation sends the command for the status. It also returns the statuses that the command expects.
func setReservation(c *rest.Call, r records.Reservation, status conversation.ReservationStatus) (outcome conversation.Outcome, expected string, err error) {
	task := records.Task{Conversation: r.Conversation, Task: conversation.Task{SID: r.Task, Agent: r.Agent}}
	switch status {
	case conversation.ReservationAccepted:
		if err := checkLegal(c, r, conversation.ReservationPending); err != nil {
			return outcome, "", err
		}
		outcome, err = c.Send(r.Conversation, conversation.AcceptCommand{Agent: r.Agent, Task: r.Task, Reservation: r.SID, Meta: c.Command("")})
		return outcome, "pending", err
	case conversation.ReservationRejected:
		if err := checkLegal(c, r, conversation.ReservationPending); err != nil {
			return outcome, "", err
		}
		outcome, err = c.Send(r.Conversation, conversation.DeclineCommand{Agent: r.Agent, Task: r.Task, Reservation: r.SID, Meta: c.Command("")})
		return outcome, "pending", err
	case conversation.ReservationWrapping:
		if err := checkLegal(c, r, conversation.ReservationAccepted); err != nil {
			return outcome, "", err
		}
		outcome, err = tasks.Finish(c, task, false, "")
		return outcome, "accepted", err
	case conversation.ReservationCompleted:
		if err := checkLegal(c, r, conversation.ReservationAccepted, conversation.ReservationWrapping); err != nil {
			return outcome, "", err
		}
		if r.Status == conversation.ReservationWrapping {
			task.Status = conversation.TaskWrapping
		}
		outcome, err = tasks.Finish(c, task, true, "")
		return outcome, "accepted, wrapping", err
	case conversation.ReservationPending, conversation.ReservationTimeout, conversation.ReservationCanceled, conversation.ReservationRescinded:
	}
	return outcome, "", c.Wrong("ReservationStatus", "ReservationStatus can be set to accepted, rejected, wrapping or completed")
}

// reservationOver replaces a refusal that the conversation is closed by one that the reservation has ended.
func reservationOver(c *rest.Call, r records.Reservation, wanted conversation.ReservationStatus, expected string, refused error) error {
	ends := wanted == conversation.ReservationWrapping || wanted == conversation.ReservationCompleted
	if !ends || conversation.CodeOf(refused) != conversation.CodeConversationClosed {
		return refused
	}
	now, _, err := reservationNow(c, r.SID, r)
	if err != nil {
		return err
	}
	return c.Unexpected("Reservation %s not in expected state [%s]: it is already %s", r.SID, expected, now.Status)
}

// checkLegal refuses a change that is impossible from the reservation's status, before the command is sent. The
// conversation makes the final decision. A repeated request passes even if the reservation has changed since, so
// that it gets its first answer.
func checkLegal(c *rest.Call, r records.Reservation, from ...conversation.ReservationStatus) error {
	gone := r.Status == conversation.ReservationAccepted || r.Status == conversation.ReservationWrapping || r.Status == conversation.ReservationCompleted
	if slices.Contains(from, r.Status) || behindRecord(r.Status, from[0]) || (c.Token() != "" && gone) {
		return nil
	}
	return c.Unexpected("Reservation %s not in expected state [%s]: it is %s", r.SID, from[0], r.Status)
}

// behindRecord reports whether the record may lag: it shows one status, and the reservation may have the expected
// one.
func behindRecord(shown, expected conversation.ReservationStatus) bool {
	return shown == conversation.ReservationPending && expected == conversation.ReservationAccepted
}

// changedReservation returns the reservation after the command.
func changedReservation(r records.Reservation, outcome conversation.Outcome, status conversation.ReservationStatus) records.Reservation {
	r.Status, r.UpdatedAt = status, time.Now()
	if t := outcome.Task; t != nil && t.Reservation != nil && t.Reservation.SID == r.SID {
		r.Status = t.Reservation.Status
	}
	return r
}

// voice lists the parameters of a reservation's update that instruct TaskRouter to make or join a call.
var voice = []string{
	"Instruction", "DequeuePostWorkActivitySid", "DequeueFrom", "DequeueRecord", "DequeueTimeout", "DequeueTo", "DequeueStatusCallbackUrl",
	"DequeueStatusCallbackEvent", "CallFrom", "CallRecord", "CallTimeout", "CallTo", "CallUrl", "CallStatusCallbackUrl", "CallAccept",
	"RedirectCallSid", "RedirectAccept", "RedirectUrl", "To", "From", "StatusCallback", "StatusCallbackMethod", "StatusCallbackEvent",
	"Timeout", "Record", "Muted", "Beep", "StartConferenceOnEnter", "EndConferenceOnExit", "EndConferenceOnCustomerExit",
	"BeepOnCustomerEntrance", "WaitUrl", "WaitMethod", "EarlyMedia", "MaxParticipants", "ConferenceStatusCallback",
	"ConferenceStatusCallbackMethod", "ConferenceStatusCallbackEvent", "ConferenceRecord", "ConferenceTrim",
	"ConferenceRecordingStatusCallback", "ConferenceRecordingStatusCallbackMethod", "RecordingChannels", "RecordingStatusCallback",
	"RecordingStatusCallbackMethod", "Region", "SipAuthUsername", "SipAuthPassword", "PostWorkActivitySid", "JitterBufferSize",
}
