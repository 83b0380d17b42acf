package httpapi

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	flexmodel "github.com/twilio/twilio-go/rest/flex/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// prefixParticipant is the prefix of a Flex participant's SID. A customer's SID has the digits of the
// conversation's, an agent's those of their task's, any other participant's those of the participant's (MB…).
const prefixParticipant = "UT"

func participantRoutes() []route {
	return []route{
		get(flex, channelPath+"/Participants", everyone).says("Lists the participants: the customer, the agents who have the conversation or wrap it up, and added participants.").
			lists("participants", flexmodel.FlexV1InteractionChannelParticipant{}).by((*call).listParticipants),
		post(flex, channelPath+"/Participants", everyone, http.StatusOK).says("Adds a participant.").
			but("An agent (`worker_sid` in RoutingProperties) claims and accepts the waiting task. Other participants are only recorded.").
			with("Type*", "MediaProperties*", "RoutingProperties").answers(flexmodel.FlexV1InteractionChannelParticipant{}).by((*call).createParticipant),
		post(flex, channelPath+"/Participants/{participant}", everyone, http.StatusOK).
			says("`wrapup` ends an agent's turn, so that they wrap up; `closed` completes it.").
			with("Status*").answers(flexmodel.FlexV1InteractionChannelParticipant{}).by((*call).updateParticipant),
	}
}

// person is a participant of a channel. The task is nil unless the participant is an agent.
type person struct {
	sid  string
	kind string
	task *desk.Task
}

func agentPerson(task *desk.Task) person {
	return person{sid: conversation.SameSID(prefixParticipant, task.SID), kind: "agent", task: task}
}

// people returns the participants of the channel.
func (c *call) people(v *view) ([]person, error) {
	found := []person{{sid: conversation.SameSID(prefixParticipant, v.sid), kind: "customer"}}
	for i := range v.tasks {
		if s := v.tasks[i].Status; s == conversation.TaskAssigned || s == conversation.TaskWrapping {
			found = append(found, agentPerson(&v.tasks[i]))
		}
	}
	added, err := c.desk.Participants(c.ctx, v.sid)
	for _, p := range added {
		if !v.turn.Includes(p.CreatedAt) {
			continue
		}
		found = append(found, person{sid: conversation.SameSID(prefixParticipant, p.SID), kind: cmp.Or(p.Kind, "external")})
	}
	return found, err
}

func (c *call) renderPerson(sid string, p person) whole[flexmodel.FlexV1InteractionChannelParticipant] {
	var routing any
	if p.task != nil {
		routing = map[string]any{
			"task_sid": p.task.SID, "worker_sid": conversation.AgentSID(p.task.Agent), "reservation_sid": p.task.Reservation.SID,
		}
	}
	return all(flexmodel.FlexV1InteractionChannelParticipant{
		Sid: new(p.sid), Type: new(p.kind), InteractionSid: new(interactionSID(sid)), ChannelSid: new(channelOf(sid)),
		Url: new(c.channelURL(sid, "Participants", p.sid)), RoutingProperties: new(routing),
	})
}

func (c *call) listParticipants() (any, error) {
	v, err := c.interactionNow()
	if err != nil {
		return nil, err
	}
	found, err := c.people(v)
	if err != nil {
		return nil, err
	}
	return some(c, found, func(p person) whole[flexmodel.FlexV1InteractionChannelParticipant] { return c.renderPerson(v.sid, p) })
}

func (c *call) createParticipant() (any, error) {
	sid, err := c.interaction()
	if err != nil {
		return nil, err
	}
	kind, err := c.required("Type")
	if err != nil {
		return nil, err
	}
	var media struct {
		Identity     string `json:"identity"`
		Address      string `json:"address"`
		ProxyAddress string `json:"proxy_address"`
	}
	if err := c.decode("MediaProperties", &media); err != nil {
		return nil, err
	}
	switch kind {
	case "agent":
		if media.Address != "" || media.ProxyAddress != "" {
			return nil, c.wrong("MediaProperties", "an agent has no address: leave address and proxy_address out of MediaProperties")
		}
		return c.joinAsAgent(sid, media.Identity)
	case "customer", "external", "supervisor", "unknown":
	default:
		return nil, c.wrong("Type", "Type has to be agent, customer, external, supervisor or unknown")
	}
	if c.form.Get("RoutingProperties") != "" {
		return nil, c.wrong("RoutingProperties", "RoutingProperties is for participants of the type agent: leave it out")
	}
	if c.caller.agent() != "" {
		return nil, c.forbid("An agent's key can add only its agent: use type agent, or another key")
	}
	v, err := c.interactionNow()
	if err != nil {
		return nil, err
	}
	added, err := c.desk.AddParticipant(c.ctx, desk.Participant{
		SID: c.newSID(desk.PrefixMember), Conversation: v.sid, Kind: kind, Identity: media.Identity, Address: media.Address, ProxyAddress: media.ProxyAddress,
	})
	if err != nil {
		return nil, err
	}
	return c.renderPerson(v.sid, person{sid: conversation.SameSID(prefixParticipant, added.SID), kind: kind}), nil
}

// joinAsAgent claims the waiting task for an agent and accepts it. The identity is the agent's name, or empty.
func (c *call) joinAsAgent(sid, identity string) (any, error) {
	var routing struct {
		WorkerSID  string `json:"worker_sid"`
		Properties struct {
			WorkspaceSID string `json:"workspace_sid"`
			WorkerSID    string `json:"worker_sid"`
		} `json:"properties"`
	}
	if err := c.decode("RoutingProperties", &routing); err != nil {
		return nil, err
	}
	if given := routing.Properties.WorkspaceSID; given != "" && given != c.workspaceSID() {
		return nil, c.lost("workspace", given)
	}
	worker := cmp.Or(routing.WorkerSID, routing.Properties.WorkerSID)
	if other := routing.Properties.WorkerSID; other != "" && other != worker {
		return nil, c.wrong("RoutingProperties", "RoutingProperties names two workers: send one worker_sid")
	}
	agent, err := c.agentOf("worker_sid", worker)
	if err != nil {
		return nil, err
	}
	if identity != "" && identity != agent {
		return nil, c.wrong("MediaProperties", "identity in MediaProperties is not the worker's in RoutingProperties: leave it out")
	}
	if err := c.actAs(agent); err != nil {
		return nil, err
	}
	v, err := c.viewFor(sid)
	if err != nil {
		return nil, c.notThere(err, "interaction", c.r.PathValue("interaction"))
	}
	offered, err := c.claim(v, "", agent)
	if err != nil { // the desk refused it, so the worker does not record it
		c.noteRefused(sid, conversation.AcceptCommand{Agent: agent, Meta: c.command("claim")}, err)
		return nil, c.noClaim(agent, err)
	}
	outcome, err := c.send(sid, conversation.AcceptCommand{Agent: agent, Task: offered, Meta: c.command("accept")})
	if err != nil {
		return nil, err
	}
	return c.renderPerson(sid, agentPerson(&desk.Task{Task: *outcome.Task})), nil
}

// noClaim returns the refusal of a claim as far as an agent's key may learn of it. It hides whether a task waits
// for another agent.
func (c *call) noClaim(agent string, err error) error {
	code := conversation.CodeOf(err)
	if c.caller.agent() == "" || (code != conversation.CodeNoReservation && code != conversation.CodeNotYourTask) {
		return err
	}
	return conversation.Refuse(conversation.CodeNoReservation, conversation.Details{Agent: agent}, "no task of this conversation waits that %s can take", agent)
}

// claim claims the conversation's waiting task for the agent, or only the task with that SID where one is given. It returns
// the task's SID after the conversation has answered the match.
func (c *call) claim(v *view, only, agent string) (string, error) {
	for _, task := range v.tasks {
		if only != "" && task.SID != only {
			continue
		}
		if task.OfferedTo(agent) || (task.Agent == agent && task.Status == conversation.TaskAssigned && c.token() != "") {
			return task.SID, nil
		}
	}
	if only != "" && !v.task(only).Status.Waiting() {
		return "", conversation.Refuse(conversation.CodeNoReservation, conversation.Details{Task: only},
			"task %s does not wait for an agent: see its state", only)
	}
	c.settleConversation(v.sid, v.revision)
	match, err := c.desk.Claim(c.ctx, cmp.Or(only, v.sid), agent)
	if err != nil {
		return "", err
	}
	// A dispatcher also delivers the match, but it may run in another process. The conversation decides the result.
	if err := c.conversations.SendAsync(c.ctx, v.sid, match); err != nil {
		return "", err
	}
	record, err := c.conversations.Await(c.ctx, v.sid, func(r conversation.Record) bool {
		task := r.Task(match.Task)
		return task == nil || task.Status != conversation.TaskPending || task.PendingSeq != match.PendingSeq
	})
	c.seen.note(match.Reservation, v.sid)
	c.writes.note(c.caller.key.SID, write{v.sid, record.Revision, time.Now()})
	return match.Task, err
}

func (c *call) updateParticipant() (any, error) {
	sid, err := c.interaction()
	if err != nil {
		return nil, err
	}
	status, err := c.required("Status")
	if err != nil {
		return nil, err
	}
	if status != "wrapup" && status != "closed" {
		return nil, c.wrong("Status", "Status has to be wrapup or closed")
	}
	task, err := c.participantTask(sid)
	if err != nil {
		return nil, err
	}
	outcome, err := c.finish(task, status == "closed", "")
	if err != nil {
		return nil, err
	}
	return c.renderPerson(sid, agentPerson(&desk.Task{Task: *outcome.Task})), nil
}

// participantTask returns the task of the agent whom the path names as a participant.
func (c *call) participantTask(sid string) (desk.Task, error) {
	given := c.r.PathValue("participant")
	digits, err := c.path("participant", prefixParticipant, "participant")
	if err != nil {
		return desk.Task{}, err
	}
	task, err := c.agentTask(conversation.PrefixTask + digits)
	if err == nil && task.Conversation == sid {
		return task, c.actAs(task.Agent)
	}
	if _, coded := asRefusal(err); coded && c.caller.agent() != "" {
		return desk.Task{}, c.notTheirs()
	}
	if _, coded := asRefusal(err); err != nil && !coded {
		return desk.Task{}, err
	}
	v, err := c.interactionNow()
	if err != nil {
		return desk.Task{}, err
	}
	found, err := c.people(v)
	if err != nil {
		return desk.Task{}, err
	}
	if slices.ContainsFunc(found, func(p person) bool { return p.sid == prefixParticipant+digits }) {
		return desk.Task{}, c.unexpected("Only an agent's participation can be wrapped up or closed, and %s is no agent", short(given))
	}
	return desk.Task{}, c.lost("participant", given)
}

// agentTask returns a task that an agent has or is offered. The desk's record is enough for a command if it shows
// the agent: the conversation itself checks later changes.
func (c *call) agentTask(sid string) (desk.Task, error) {
	task, err := c.desk.Task(c.ctx, sid)
	if err == nil && task.Agent != "" && task.Reservation != nil {
		return task, nil
	}
	if _, coded := asRefusal(err); err != nil && !coded {
		return task, err
	}
	of, known := c.seen.of(sid)
	if err == nil {
		of, known = task.Conversation, true
	}
	if !known {
		return task, err
	}
	v, err := c.viewFor(of)
	if err != nil {
		return task, err
	}
	now := v.task(sid)
	if now == nil || now.Agent == "" || now.Reservation == nil {
		return task, conversation.Refuse(conversation.CodeNotYourTask, conversation.Details{Task: sid}, "no agent has task %s", sid)
	}
	return *now, nil
}

// finish ends an agent's turn. With complete set, it also completes the wrap-up.
func (c *call) finish(task desk.Task, complete bool, disposition string) (conversation.Outcome, error) {
	if err := c.actAs(task.Agent); err != nil {
		return conversation.Outcome{}, err
	}
	if task.Status == conversation.TaskCompleted && (complete || c.token() != "") {
		// A repeat. With a token, the first answer was lost; without one, the caller of finish decides.
		return conversation.Outcome{Task: &task.Task, Unchanged: c.token() == ""}, nil
	}
	end := conversation.EndCommand{Agent: task.Agent, Task: task.SID, Meta: c.command("end")}
	if !complete {
		return c.send(task.Conversation, end)
	}
	wrapup := conversation.WrapupCommand{Agent: task.Agent, Task: task.SID, Disposition: disposition, Meta: c.command("wrapup")}
	if task.Status == conversation.TaskWrapping || task.Status == conversation.TaskCompleted {
		return c.send(task.Conversation, wrapup)
	}
	// The desk's record may lag: the agent's turn may already have ended.
	_, err := c.send(task.Conversation, end)
	code := conversation.CodeOf(err)
	if err != nil && code != conversation.CodeTaskNotAssigned && code != conversation.CodeConversationClosed {
		return conversation.Outcome{}, err
	}
	outcome, later := c.send(task.Conversation, wrapup)
	if later != nil && err != nil {
		return outcome, err
	}
	return outcome, later
}

// updatedAt returns the time of the task's last change.
func updatedAt(task desk.Task) time.Time {
	latest := task.CreatedAt
	times := []time.Time{task.AssignedAt, task.WrappingAt, task.CompletedAt, task.CanceledAt}
	if task.Reservation != nil {
		times = append(times, task.Reservation.CreatedAt)
	}
	for _, at := range times {
		if at.After(latest) {
			latest = at
		}
	}
	return latest
}
