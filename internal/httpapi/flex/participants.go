package flex

import (
	"cmp"
	"net/http"
	"slices"

	flexmodel "github.com/twilio/twilio-go/rest/flex/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/httpapi/tasks"
	"github.com/baton-transfers/baton/internal/records"
)

// prefixParticipant is the prefix of a Flex participant's SID. A customer's SID has the digits of the
// conversation's, an agent's those of their task's, any other participant's those of the participant's (MB…).
const prefixParticipant = "UT"

func participantRoutes() []rest.Route {
	return []rest.Route{
		rest.Get(channelPath+"/Participants", rest.Everyone).Says("Lists the participants: the customer, the agents who have the conversation or wrap it up, and added participants.").
			Lists("participants", flexmodel.FlexV1InteractionChannelParticipant{}).By(listParticipants),
		rest.Post(channelPath+"/Participants", rest.Everyone, http.StatusOK).Says("Adds a participant.").
			But("An agent (`worker_sid` in RoutingProperties) claims and accepts the waiting task. Other participants are only recorded.").
			With("Type*", "MediaProperties*", "RoutingProperties").Answers(flexmodel.FlexV1InteractionChannelParticipant{}).By(createParticipant),
		rest.Post(channelPath+"/Participants/{participant}", rest.Everyone, http.StatusOK).
			Says("`wrapup` ends an agent's turn, so that they wrap up; `closed` completes it.").
			With("Status*").Answers(flexmodel.FlexV1InteractionChannelParticipant{}).By(updateParticipant),
	}
}

// person is a participant of a channel. The task is nil unless the participant is an agent.
type person struct {
	sid  string
	kind string
	task *records.Task
}

func agentPerson(task *records.Task) person {
	return person{sid: conversation.SameSID(prefixParticipant, task.SID), kind: "agent", task: task}
}

// peopleOf returns the participants of the channel.
func peopleOf(c *rest.Call, v *rest.View) ([]person, error) {
	found := []person{{sid: conversation.SameSID(prefixParticipant, v.SID), kind: "customer"}}
	for i := range v.Tasks {
		if s := v.Tasks[i].Status; s == conversation.TaskAssigned || s == conversation.TaskWrapping {
			found = append(found, agentPerson(&v.Tasks[i]))
		}
	}
	added, err := records.ListParticipants(c.Ctx, c.Desk, v.SID)
	for _, p := range added {
		if !v.Turn.Includes(p.CreatedAt) {
			continue
		}
		found = append(found, person{sid: conversation.SameSID(prefixParticipant, p.SID), kind: cmp.Or(p.Kind, "external")})
	}
	return found, err
}

func renderPerson(c *rest.Call, sid string, p person) rest.Whole[flexmodel.FlexV1InteractionChannelParticipant] {
	var routing any
	if p.task != nil {
		routing = map[string]any{
			"task_sid": p.task.SID, "worker_sid": conversation.AgentSID(p.task.Agent), "reservation_sid": p.task.Reservation.SID,
		}
	}
	return rest.All(flexmodel.FlexV1InteractionChannelParticipant{
		Sid: new(p.sid), Type: new(p.kind), InteractionSid: new(interactionSID(sid)), ChannelSid: new(channelOf(sid)),
		Url: new(channelURL(c, sid, "Participants", p.sid)), RoutingProperties: new(routing),
	})
}

func listParticipants(c *rest.Call) (any, error) {
	v, err := interactionNow(c)
	if err != nil {
		return nil, err
	}
	found, err := peopleOf(c, v)
	if err != nil {
		return nil, err
	}
	return rest.Some(c, found, func(p person) rest.Whole[flexmodel.FlexV1InteractionChannelParticipant] {
		return renderPerson(c, v.SID, p)
	})
}

func createParticipant(c *rest.Call) (any, error) {
	sid, err := interactionAsked(c)
	if err != nil {
		return nil, err
	}
	kind, err := c.Required("Type")
	if err != nil {
		return nil, err
	}
	var media struct {
		Identity     string `json:"identity"`
		Address      string `json:"address"`
		ProxyAddress string `json:"proxy_address"`
	}
	if err := c.Decode("MediaProperties", &media); err != nil {
		return nil, err
	}
	switch kind {
	case "agent":
		if media.Address != "" || media.ProxyAddress != "" {
			return nil, c.Wrong("MediaProperties", "an agent has no address: leave address and proxy_address out of MediaProperties")
		}
		return joinAsAgent(c, sid, media.Identity)
	case "customer", "external", "supervisor", "unknown":
	default:
		return nil, c.Wrong("Type", "Type has to be agent, customer, external, supervisor or unknown")
	}
	if c.Form.Get("RoutingProperties") != "" {
		return nil, c.Wrong("RoutingProperties", "RoutingProperties is for participants of the type agent: leave it out")
	}
	if c.Caller.Agent() != "" {
		return nil, rest.Forbid("An agent's key can add only its agent: use type agent, or another key")
	}
	v, err := interactionNow(c)
	if err != nil {
		return nil, err
	}
	added, err := records.AddParticipant(c.Ctx, c.Desk, records.Participant{
		SID: c.NewSID(desk.PrefixMember), Conversation: v.SID, Kind: kind, Identity: media.Identity, Address: media.Address, ProxyAddress: media.ProxyAddress,
	})
	if err != nil {
		return nil, err
	}
	return renderPerson(c, v.SID, person{sid: conversation.SameSID(prefixParticipant, added.SID), kind: kind}), nil
}

// joinAsAgent claims the waiting task for an agent and accepts it. The identity is the agent's name, or empty.
func joinAsAgent(c *rest.Call, sid, identity string) (any, error) {
	var routing struct {
		WorkerSID  string `json:"worker_sid"`
		Properties struct {
			WorkspaceSID string `json:"workspace_sid"`
			WorkerSID    string `json:"worker_sid"`
		} `json:"properties"`
	}
	if err := c.Decode("RoutingProperties", &routing); err != nil {
		return nil, err
	}
	if given := routing.Properties.WorkspaceSID; given != "" && given != c.WorkspaceSID() {
		return nil, c.Lost("workspace", given)
	}
	worker := cmp.Or(routing.WorkerSID, routing.Properties.WorkerSID)
	if other := routing.Properties.WorkerSID; other != "" && other != worker {
		return nil, c.Wrong("RoutingProperties", "RoutingProperties names two workers: send one worker_sid")
	}
	agent, err := tasks.AgentOf(c, "worker_sid", worker)
	if err != nil {
		return nil, err
	}
	if identity != "" && identity != agent {
		return nil, c.Wrong("MediaProperties", "identity in MediaProperties is not the worker's in RoutingProperties: leave it out")
	}
	if err := c.ActAs(agent); err != nil {
		return nil, err
	}
	v, err := c.ViewFor(sid)
	if err != nil {
		return nil, c.NotThere(err, "interaction", c.Request.PathValue("interaction"))
	}
	offered, err := tasks.Claim(c, v, "", agent)
	if err != nil { // the desk refused it, so the worker does not record it
		c.Conversations.Refused(c.Ctx, sid, conversation.AcceptCommand{Agent: agent, Meta: c.Command("claim")}, err)
		return nil, tasks.NoClaim(c, agent, err)
	}
	outcome, err := c.Send(sid, conversation.AcceptCommand{Agent: agent, Task: offered, Meta: c.Command("accept")})
	if err != nil {
		return nil, err
	}
	return renderPerson(c, sid, agentPerson(&records.Task{Task: *outcome.Task})), nil
}

func updateParticipant(c *rest.Call) (any, error) {
	sid, err := interactionAsked(c)
	if err != nil {
		return nil, err
	}
	status, err := c.Required("Status")
	if err != nil {
		return nil, err
	}
	if status != "wrapup" && status != "closed" {
		return nil, c.Wrong("Status", "Status has to be wrapup or closed")
	}
	task, err := participantTask(c, sid)
	if err != nil {
		return nil, err
	}
	outcome, err := tasks.Finish(c, task, status == "closed", "")
	if err != nil {
		return nil, err
	}
	return renderPerson(c, sid, agentPerson(&records.Task{Task: *outcome.Task})), nil
}

// participantTask returns the task of the agent whom the path names as a participant.
func participantTask(c *rest.Call, sid string) (records.Task, error) {
	given := c.Request.PathValue("participant")
	digits, err := c.Path("participant", prefixParticipant, "participant")
	if err != nil {
		return records.Task{}, err
	}
	task, err := tasks.OfAgent(c, conversation.PrefixTask+digits)
	if err == nil && task.Conversation == sid {
		return task, c.ActAs(task.Agent)
	}
	if _, coded := rest.AsRefusal(err); coded && c.Caller.Agent() != "" {
		return records.Task{}, c.NotTheirs()
	}
	if _, coded := rest.AsRefusal(err); err != nil && !coded {
		return records.Task{}, err
	}
	v, err := interactionNow(c)
	if err != nil {
		return records.Task{}, err
	}
	found, err := peopleOf(c, v)
	if err != nil {
		return records.Task{}, err
	}
	if slices.ContainsFunc(found, func(p person) bool { return p.sid == prefixParticipant+digits }) {
		return records.Task{}, c.Unexpected("Only an agent's participation can be wrapped up or closed, and %s is no agent", rest.Quoted(given))
	}
	return records.Task{}, c.Lost("participant", given)
}
