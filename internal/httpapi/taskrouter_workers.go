package httpapi

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/expression"
	"github.com/baton-transfers/baton/desk/naming"
)

// prefixWorkerChannel is the prefix of the SID of a worker channel, which is an agent's capacity on one channel.
const prefixWorkerChannel = "WC"

const workerPath = workspacePath + "/Workers/{worker}"

func workerRoutes() []route {
	const named = "FriendlyName may be in any script. The unique name for commands is derived from it once, in the letters a to z, as ivan-petrov from Иван Петров, with a number if that name is taken. It and the SID stay when FriendlyName changes."
	return []route{
		get(taskrouter, workspacePath+"/Workers", everyone).says("Lists the agents.").
			with("ActivityName", "ActivitySid", "Available", "FriendlyName", "TargetWorkersExpression", "TaskQueueName", "TaskQueueSid", "Ordering").
			lists("workers", taskmodel.TaskrouterV1Worker{}).by((*call).listWorkers),
		post(taskrouter, workspacePath+"/Workers", services, http.StatusCreated).says("Adds an agent.").but(named).
			with("FriendlyName*", "ActivitySid", "Attributes").answers(taskmodel.TaskrouterV1Worker{}).by((*call).createWorker),
		get(taskrouter, workerPath, everyone).says("Fetches an agent.").answers(taskmodel.TaskrouterV1Worker{}).by((*call).fetchWorker),
		post(taskrouter, workerPath, everyone, http.StatusOK).says("Changes an agent's activity, attributes or name. An agent's key can change its agent's activity.").
			but("Pending reservations of an agent who becomes unavailable are declined, even without RejectPendingReservations.").
			with("ActivitySid", "Attributes", "FriendlyName", "RejectPendingReservations").answers(taskmodel.TaskrouterV1Worker{}).by((*call).updateWorker),
		remove(taskrouter, workerPath, services).says("Removes an agent who has no task.").by((*call).removeWorker),
		get(taskrouter, workerPath+"/Channels", everyone).says("Lists the agent's capacity and tasks by channel.").
			lists("channels", taskmodel.TaskrouterV1WorkerChannel{}).by((*call).listWorkerChannels),
		get(taskrouter, workerPath+"/Channels/{workerchannel}", everyone).says("Fetches one channel of the agent, by its SID or the channel's unique name.").
			answers(taskmodel.TaskrouterV1WorkerChannel{}).by((*call).fetchWorkerChannel),
		post(taskrouter, workerPath+"/Channels/{workerchannel}", staff, http.StatusOK).says("Sets the agent's capacity on the channel.").
			but("Available follows the capacity: with 0 it is false.").with("Capacity", "Available").
			answers(taskmodel.TaskrouterV1WorkerChannel{}).by((*call).updateWorkerChannel),
	}
}

func (c *call) renderWorker(a desk.Agent) whole[taskmodel.TaskrouterV1Worker] {
	base := c.workspaceURL("Workers", a.SID)
	return all(taskmodel.TaskrouterV1Worker{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Sid: new(a.SID), FriendlyName: new(a.FriendlyName),
		Attributes: new(string(a.Attributes)), ActivitySid: new(a.Activity.SID), ActivityName: new(a.Activity.Name), Available: new(a.Available()),
		DateCreated: date(a.CreatedAt), DateStatusChanged: date(a.PresenceSince), DateUpdated: date(latest(a.UpdatedAt, a.PresenceSince)), Url: new(base),
		Links: &map[string]any{
			"channels": base + "/Channels", "reservations": base + "/Reservations", "worker_statistics": base + "/Statistics",
			"activity": c.workspaceURL("Activities", a.Activity.SID), "workspace": c.workspaceURL(),
		},
	})
}

func (c *call) answerWorker(a desk.Agent) (any, error) {
	c.w.Header().Set("ETag", workerTag(a))
	return c.renderWorker(a), nil
}

func workerTag(a desk.Agent) string {
	return hashed(a.SID, a.FriendlyName, string(a.Attributes), a.Activity.SID, a.PresenceSince.String(), a.UpdatedAt.String())
}

func (c *call) listWorkers() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	chosen, err := c.workerFilter()
	if err != nil {
		return nil, err
	}
	agents, err := c.desk.Agents(c.ctx)
	if err != nil {
		return nil, err
	}
	var failed error
	agents = slices.DeleteFunc(agents, func(a desk.Agent) bool {
		if failed != nil {
			return true
		}
		is, err := chosen(a)
		failed = err
		return !is
	})
	if failed != nil {
		return nil, c.tooExpensive("TargetWorkersExpression", failed)
	}
	if given := c.form.Get("Ordering"); given != "" {
		if err := orderWorkers(c, agents, given); err != nil {
			return nil, err
		}
	}
	return some(c, agents, c.renderWorker)
}

// workerFilter reads which agents are requested.
func (c *call) workerFilter() (func(desk.Agent) (bool, error), error) {
	available, err := c.flag("Available", false)
	if err != nil {
		return nil, err
	}
	activity, err := c.sid("ActivitySid", desk.PrefixActivity)
	if err != nil {
		return nil, err
	}
	queue, none, err := c.queueAsked()
	if err != nil {
		return nil, err
	}
	wanted, err := c.evaluate("TargetWorkersExpression")
	if err != nil {
		return nil, err
	}
	budget := expression.NewBudget(c.ctx)
	return func(a desk.Agent) (bool, error) {
		is := !none && (queue == "" || slices.Contains(a.Queues, queue)) &&
			(activity == "" || a.Activity.SID == activity) && asked(c.form.Get("ActivityName"), a.Activity.Name) &&
			(c.form.Get("Available") == "" || a.Available() == available) && asked(c.form.Get("FriendlyName"), a.FriendlyName)
		if !is || wanted == nil {
			return is, nil
		}
		return a.Matches(budget, wanted)
	}, nil
}

// asked reports whether a value passes a filter. An empty filter passes all values.
func asked(wanted, value string) bool { return wanted == "" || wanted == value }

func orderWorkers(c *call, agents []desk.Agent, ordering string) error {
	name, direction, _ := strings.Cut(ordering, ":")
	if name != "DateStatusChanged" || (direction != "" && direction != "asc" && direction != "desc") {
		return c.wrong("Ordering", "Ordering has to be DateStatusChanged, with :asc or :desc")
	}
	slices.SortStableFunc(agents, func(a, b desk.Agent) int {
		if direction == "desc" {
			a, b = b, a
		}
		return a.PresenceSince.Compare(b.PresenceSince)
	})
	return nil
}

// repeated reports whether the change may have been refused because an earlier attempt of this request made it.
func (c *call) repeated(err error) bool {
	_, taken := errors.AsType[*desk.TakenError](err)
	return taken && c.token() != "" || errors.Is(err, desk.ErrDoneBefore)
}

func (c *call) createWorker() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	friendly, err := c.required("FriendlyName")
	if err != nil {
		return nil, err
	}
	activity, err := c.sid("ActivitySid", desk.PrefixActivity)
	if err != nil {
		return nil, err
	}
	added := desk.NewAgent{FriendlyName: friendly, Attributes: c.form.Get("Attributes"), Activity: activity}
	name, err := c.desk.RegisterAgent(c.changing, added)
	if err != nil {
		if c.repeated(err) {
			return c.workerBefore(added, err)
		}
		return nil, err
	}
	agent, err := c.desk.Agent(c.ctx, name)
	if err != nil {
		return nil, err
	}
	return c.answerWorker(agent)
}

// workerBefore answers with the agent whom an earlier attempt of this request added. It returns the error if there
// is no such agent.
func (c *call) workerBefore(added desk.NewAgent, refused error) (any, error) {
	agents, err := c.desk.Agents(c.ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range agents {
		if naming.Same(a.FriendlyName, conversation.CleanName(added.FriendlyName)) && string(a.Attributes) == cmp.Or(added.Attributes, "{}") {
			return c.answerWorker(a)
		}
	}
	return nil, refused
}

// workerAsked returns the agent that the path names as a worker.
func (c *call) workerAsked() (desk.Agent, error) {
	if err := c.workspace(); err != nil {
		return desk.Agent{}, err
	}
	name, err := c.agentAsked()
	if err != nil {
		return desk.Agent{}, err
	}
	return c.desk.Agent(c.ctx, name)
}

func (c *call) fetchWorker() (any, error) {
	agent, err := c.workerAsked()
	if err != nil {
		return nil, err
	}
	return c.answerWorker(agent)
}

func (c *call) updateWorker() (any, error) {
	agent, err := c.workerAsked()
	if err != nil {
		return nil, err
	}
	if err := c.actAs(agent.Name); err != nil {
		return nil, err
	}
	rejects, err := c.flag("RejectPendingReservations", true)
	if err != nil {
		return nil, err
	}
	if !rejects {
		return nil, c.wrong("RejectPendingReservations",
			"RejectPendingReservations can only be true, for an agent who is not available has no pending reservations: leave it out")
	}
	change := desk.AgentChange{FriendlyName: c.optional("FriendlyName"), Attributes: c.optional("Attributes"), Activity: c.optional("ActivitySid")}
	if c.caller.agent() != "" && (change.FriendlyName != nil || change.Attributes != nil) {
		return nil, c.forbid("An agent's key can change the activity only: skills and names are an administrator's")
	}
	if c.caller.key.Role == desk.KeySupervisor && change.FriendlyName != nil {
		return nil, c.forbid("A supervisor's key can change activity and attributes only")
	}
	change.Expected = func(now desk.Agent) error { return c.ifMatch(workerTag(now)) }
	if _, err := c.sid("ActivitySid", desk.PrefixActivity); err != nil {
		return nil, err
	}
	if err := c.desk.UpdateAgent(c.changing, agent.Name, change); err != nil {
		return nil, err
	}
	if agent, err = c.desk.Agent(c.ctx, agent.Name); err != nil {
		return nil, err
	}
	return c.answerWorker(agent)
}

func (c *call) removeWorker() (any, error) {
	agent, err := c.workerAsked()
	if err != nil {
		return nil, err
	}
	return nil, c.inUse(c.desk.RemoveAgent(c.changing, agent.Name, func(now desk.Agent) error { return c.ifMatch(workerTag(now)) }))
}

func (c *call) renderWorkerChannel(a desk.Agent) func(desk.AgentChannel) whole[taskmodel.TaskrouterV1WorkerChannel] {
	return func(channel desk.AgentChannel) whole[taskmodel.TaskrouterV1WorkerChannel] {
		free := 0
		if channel.Capacity > 0 {
			free = max(100*(channel.Capacity-channel.Load)/channel.Capacity, 0)
		}
		sid := workerChannelSID(a, channel)
		return all(taskmodel.TaskrouterV1WorkerChannel{
			AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Sid: new(sid), WorkerSid: new(a.SID),
			TaskChannelSid: new(channelSID(channel.Channel)), TaskChannelUniqueName: new(string(channel.Channel)), AssignedTasks: channel.Load,
			Available: new(channel.Capacity > 0), AvailableCapacityPercentage: free, ConfiguredCapacity: channel.Capacity,
			DateCreated: date(a.CreatedAt), DateUpdated: date(a.UpdatedAt), Url: new(c.workspaceURL("Workers", a.SID, "Channels", sid)),
		})
	}
}

func workerChannelSID(a desk.Agent, channel desk.AgentChannel) string {
	return desk.NamedSID(prefixWorkerChannel, a.Name+"/"+string(channel.Channel))
}

func (c *call) listWorkerChannels() (any, error) {
	agent, err := c.workerAsked()
	if err != nil {
		return nil, err
	}
	return some(c, agent.Channels, c.renderWorkerChannel(agent))
}

// workerChannelAsked returns the agent and the channel that the path names.
func (c *call) workerChannelAsked() (desk.Agent, desk.AgentChannel, error) {
	agent, err := c.workerAsked()
	if err != nil {
		return agent, desk.AgentChannel{}, err
	}
	given := c.r.PathValue("workerchannel")
	for _, channel := range agent.Channels {
		if given == string(channel.Channel) || sameDigits(given, workerChannelSID(agent, channel)) || sameDigits(given, channelSID(channel.Channel)) {
			return agent, channel, nil
		}
	}
	return agent, desk.AgentChannel{}, c.lost("channel of this worker", given)
}

func (c *call) fetchWorkerChannel() (any, error) {
	agent, channel, err := c.workerChannelAsked()
	if err != nil {
		return nil, err
	}
	return c.renderWorkerChannel(agent)(channel), nil
}

func (c *call) updateWorkerChannel() (any, error) {
	agent, channel, err := c.workerChannelAsked()
	if err != nil {
		return nil, err
	}
	capacity, err := c.number("Capacity", channel.Capacity, 0, 1_000_000)
	if err != nil {
		return nil, err
	}
	available, err := c.flag("Available", capacity > 0)
	if err != nil {
		return nil, err
	}
	if available != (capacity > 0) {
		return nil, c.wrong("Available", "Available follows the capacity: set Capacity to 0 to take the channel away, or to a number from 1 on to give it back")
	}
	if err := c.desk.SetCapacity(c.changing, agent.Name, channel.Channel, capacity); err != nil {
		return nil, err
	}
	if agent, channel, err = c.workerChannelAsked(); err != nil {
		return nil, err
	}
	return c.renderWorkerChannel(agent)(channel), nil
}
