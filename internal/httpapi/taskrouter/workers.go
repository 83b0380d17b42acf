package taskrouter

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/expression"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/naming"
	"github.com/baton-transfers/baton/internal/people"
)

// prefixWorkerChannel is the prefix of the SID of a worker channel, which is an agent's capacity on one channel.
const prefixWorkerChannel = "WC"

const workerPath = workspacePath + "/Workers/{worker}"

func workerRoutes() []rest.Route {
	const named = "FriendlyName may be in any script. The unique name for commands is derived from it once, in the letters a to z, as ivan-petrov from Иван Петров, with a number if that name is taken. It and the SID stay when FriendlyName changes."
	return []rest.Route{
		rest.Get(workspacePath+"/Workers", rest.Everyone).Says("Lists the agents.").
			With("ActivityName", "ActivitySid", "Available", "FriendlyName", "TargetWorkersExpression", "TaskQueueName", "TaskQueueSid", "Ordering").
			Lists("workers", taskmodel.TaskrouterV1Worker{}).By(listWorkers),
		rest.Post(workspacePath+"/Workers", rest.Services, http.StatusCreated).Says("Adds an agent.").But(named).
			With("FriendlyName*", "ActivitySid", "Attributes").Answers(taskmodel.TaskrouterV1Worker{}).By(createWorker),
		rest.Get(workerPath, rest.Everyone).Says("Fetches an agent.").Answers(taskmodel.TaskrouterV1Worker{}).By(fetchWorker),
		rest.Post(workerPath, rest.Everyone, http.StatusOK).Says("Changes an agent's activity, attributes or name. An agent's key can change its agent's activity.").
			But("Pending reservations of an agent who becomes unavailable are declined, even without RejectPendingReservations.").
			With("ActivitySid", "Attributes", "FriendlyName", "RejectPendingReservations").Answers(taskmodel.TaskrouterV1Worker{}).By(updateWorker),
		rest.Delete(workerPath, rest.Services).Says("Removes an agent who has no task.").By(removeWorker),
		rest.Get(workerPath+"/Channels", rest.Everyone).Says("Lists the agent's capacity and tasks by channel.").
			Lists("channels", taskmodel.TaskrouterV1WorkerChannel{}).By(listWorkerChannels),
		rest.Get(workerPath+"/Channels/{workerchannel}", rest.Everyone).Says("Fetches one channel of the agent, by its SID or the channel's unique name.").
			Answers(taskmodel.TaskrouterV1WorkerChannel{}).By(fetchWorkerChannel),
		rest.Post(workerPath+"/Channels/{workerchannel}", rest.Staff, http.StatusOK).Says("Sets the agent's capacity on the channel.").
			But("Available follows the capacity: with 0 it is false.").With("Capacity", "Available").
			Answers(taskmodel.TaskrouterV1WorkerChannel{}).By(updateWorkerChannel),
	}
}

func renderWorker(c *rest.Call, a people.Agent) rest.Whole[taskmodel.TaskrouterV1Worker] {
	base := c.WorkspaceURL("Workers", a.SID)
	return rest.All(taskmodel.TaskrouterV1Worker{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Sid: new(a.SID), FriendlyName: new(a.FriendlyName),
		Attributes: new(string(a.Attributes)), ActivitySid: new(a.Activity.SID), ActivityName: new(a.Activity.Name), Available: new(a.Available()),
		DateCreated: rest.Date(a.CreatedAt), DateStatusChanged: rest.Date(a.PresenceSince), DateUpdated: rest.Date(rest.Latest(a.UpdatedAt, a.PresenceSince)), Url: new(base),
		Links: &map[string]any{
			"channels": base + "/Channels", "reservations": base + "/Reservations", "worker_statistics": base + "/Statistics",
			"activity": c.WorkspaceURL("Activities", a.Activity.SID), "workspace": c.WorkspaceURL(),
		},
	})
}

func answerWorker(c *rest.Call, a people.Agent) (any, error) {
	c.SetETag(workerTag(a))
	return renderWorker(c, a), nil
}

func workerTag(a people.Agent) string {
	return rest.Hashed(a.SID, a.FriendlyName, string(a.Attributes), a.Activity.SID, a.PresenceSince.String(), a.UpdatedAt.String())
}

func listWorkers(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	chosen, err := workerFilter(c)
	if err != nil {
		return nil, err
	}
	agents, err := people.ListAgents(c.Ctx, c.Desk)
	if err != nil {
		return nil, err
	}
	var failed error
	agents = slices.DeleteFunc(agents, func(a people.Agent) bool {
		if failed != nil {
			return true
		}
		is, err := chosen(a)
		failed = err
		return !is
	})
	if failed != nil {
		return nil, tooExpensive(c, "TargetWorkersExpression", failed)
	}
	if given := c.Form.Get("Ordering"); given != "" {
		if err := orderWorkers(c, agents, given); err != nil {
			return nil, err
		}
	}
	return rest.Some(c, agents, func(a people.Agent) any { return renderWorker(c, a) })
}

// workerFilter reads which agents are requested.
func workerFilter(c *rest.Call) (func(people.Agent) (bool, error), error) {
	available, err := c.Flag("Available", false)
	if err != nil {
		return nil, err
	}
	activity, err := c.SID("ActivitySid", desk.PrefixActivity)
	if err != nil {
		return nil, err
	}
	queue, none, err := queueAsked(c)
	if err != nil {
		return nil, err
	}
	wanted, err := readExpression(c, "TargetWorkersExpression")
	if err != nil {
		return nil, err
	}
	budget := expression.NewBudget(c.Ctx)
	return func(a people.Agent) (bool, error) {
		is := !none && (queue == "" || slices.Contains(a.Queues, queue)) &&
			(activity == "" || a.Activity.SID == activity) && asked(c.Form.Get("ActivityName"), a.Activity.Name) &&
			(c.Form.Get("Available") == "" || a.Available() == available) && asked(c.Form.Get("FriendlyName"), a.FriendlyName)
		if !is || wanted == nil {
			return is, nil
		}
		return a.Matches(budget, wanted)
	}, nil
}

// asked reports whether a value passes a filter. An empty filter passes all values.
func asked(wanted, value string) bool { return wanted == "" || wanted == value }

func orderWorkers(c *rest.Call, agents []people.Agent, ordering string) error {
	name, direction, _ := strings.Cut(ordering, ":")
	if name != "DateStatusChanged" || (direction != "" && direction != "asc" && direction != "desc") {
		return c.Wrong("Ordering", "Ordering has to be DateStatusChanged, with :asc or :desc")
	}
	slices.SortStableFunc(agents, func(a, b people.Agent) int {
		if direction == "desc" {
			a, b = b, a
		}
		return a.PresenceSince.Compare(b.PresenceSince)
	})
	return nil
}

// isRepeat reports whether the change may have been refused because an earlier attempt of this request made it.
func isRepeat(c *rest.Call, err error) bool {
	_, taken := errors.AsType[*desk.TakenError](err)
	return taken && c.Token() != "" || errors.Is(err, desk.ErrDoneBefore)
}

func createWorker(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	friendly, err := c.Required("FriendlyName")
	if err != nil {
		return nil, err
	}
	activity, err := c.SID("ActivitySid", desk.PrefixActivity)
	if err != nil {
		return nil, err
	}
	added := people.NewAgent{FriendlyName: friendly, Attributes: c.Form.Get("Attributes"), Activity: activity}
	name, err := people.RegisterAgent(c.Changing, c.Desk, added)
	if err != nil {
		if isRepeat(c, err) {
			return workerBefore(c, added, err)
		}
		return nil, err
	}
	agent, err := people.FindAgent(c.Ctx, c.Desk, name)
	if err != nil {
		return nil, err
	}
	return answerWorker(c, agent)
}

// workerBefore answers with the agent whom an earlier attempt of this request added. It returns the error if there
// is no such agent.
func workerBefore(c *rest.Call, added people.NewAgent, refused error) (any, error) {
	agents, err := people.ListAgents(c.Ctx, c.Desk)
	if err != nil {
		return nil, err
	}
	for _, a := range agents {
		if naming.Same(a.FriendlyName, conversation.CleanName(added.FriendlyName)) && string(a.Attributes) == cmp.Or(added.Attributes, "{}") {
			return answerWorker(c, a)
		}
	}
	return nil, refused
}

// workerAsked returns the agent that the path names as a worker.
func workerAsked(c *rest.Call) (people.Agent, error) {
	if err := checkWorkspace(c); err != nil {
		return people.Agent{}, err
	}
	name, err := agentAsked(c)
	if err != nil {
		return people.Agent{}, err
	}
	return people.FindAgent(c.Ctx, c.Desk, name)
}

func fetchWorker(c *rest.Call) (any, error) {
	agent, err := workerAsked(c)
	if err != nil {
		return nil, err
	}
	return answerWorker(c, agent)
}

func updateWorker(c *rest.Call) (any, error) {
	agent, err := workerAsked(c)
	if err != nil {
		return nil, err
	}
	if err := c.ActAs(agent.Name); err != nil {
		return nil, err
	}
	rejects, err := c.Flag("RejectPendingReservations", true)
	if err != nil {
		return nil, err
	}
	if !rejects {
		return nil, c.Wrong("RejectPendingReservations",
			"RejectPendingReservations can only be true, for an agent who is not available has no pending reservations: leave it out")
	}
	change := people.AgentChange{FriendlyName: c.Optional("FriendlyName"), Attributes: c.Optional("Attributes"), Activity: c.Optional("ActivitySid")}
	if c.Caller.Agent() != "" && (change.FriendlyName != nil || change.Attributes != nil) {
		return nil, rest.Forbid("An agent's key can change the activity only: skills and names are an administrator's")
	}
	if c.Caller.Key.Role == access.KeySupervisor && change.FriendlyName != nil {
		return nil, rest.Forbid("A supervisor's key can change activity and attributes only")
	}
	change.Expected = func(now people.Agent) error { return checkIfMatch(c, workerTag(now)) }
	if _, err := c.SID("ActivitySid", desk.PrefixActivity); err != nil {
		return nil, err
	}
	if err := people.UpdateAgent(c.Changing, c.Desk, agent.Name, change); err != nil {
		return nil, err
	}
	if agent, err = people.FindAgent(c.Ctx, c.Desk, agent.Name); err != nil {
		return nil, err
	}
	return answerWorker(c, agent)
}

func removeWorker(c *rest.Call) (any, error) {
	agent, err := workerAsked(c)
	if err != nil {
		return nil, err
	}
	return nil, inUse(c, people.RemoveAgent(c.Changing, c.Desk, agent.Name, func(now people.Agent) error { return checkIfMatch(c, workerTag(now)) }))
}

func renderWorkerChannel(c *rest.Call, a people.Agent) func(people.AgentChannel) rest.Whole[taskmodel.TaskrouterV1WorkerChannel] {
	return func(channel people.AgentChannel) rest.Whole[taskmodel.TaskrouterV1WorkerChannel] {
		free := 0
		if channel.Capacity > 0 {
			free = max(100*(channel.Capacity-channel.Load)/channel.Capacity, 0)
		}
		sid := workerChannelSID(a, channel)
		return rest.All(taskmodel.TaskrouterV1WorkerChannel{
			AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Sid: new(sid), WorkerSid: new(a.SID),
			TaskChannelSid: new(rest.ChannelSID(channel.Channel)), TaskChannelUniqueName: new(string(channel.Channel)), AssignedTasks: channel.Load,
			Available: new(channel.Capacity > 0), AvailableCapacityPercentage: free, ConfiguredCapacity: channel.Capacity,
			DateCreated: rest.Date(a.CreatedAt), DateUpdated: rest.Date(a.UpdatedAt), Url: new(c.WorkspaceURL("Workers", a.SID, "Channels", sid)),
		})
	}
}

func workerChannelSID(a people.Agent, channel people.AgentChannel) string {
	return desk.NamedSID(prefixWorkerChannel, a.Name+"/"+string(channel.Channel))
}

func listWorkerChannels(c *rest.Call) (any, error) {
	agent, err := workerAsked(c)
	if err != nil {
		return nil, err
	}
	return rest.Some(c, agent.Channels, renderWorkerChannel(c, agent))
}

// workerChannelAsked returns the agent and the channel that the path names.
func workerChannelAsked(c *rest.Call) (people.Agent, people.AgentChannel, error) {
	agent, err := workerAsked(c)
	if err != nil {
		return agent, people.AgentChannel{}, err
	}
	given := c.Request.PathValue("workerchannel")
	for _, channel := range agent.Channels {
		if given == string(channel.Channel) || rest.SameDigits(given, workerChannelSID(agent, channel)) || rest.SameDigits(given, rest.ChannelSID(channel.Channel)) {
			return agent, channel, nil
		}
	}
	return agent, people.AgentChannel{}, c.Lost("channel of this worker", given)
}

func fetchWorkerChannel(c *rest.Call) (any, error) {
	agent, channel, err := workerChannelAsked(c)
	if err != nil {
		return nil, err
	}
	return renderWorkerChannel(c, agent)(channel), nil
}

func updateWorkerChannel(c *rest.Call) (any, error) {
	agent, channel, err := workerChannelAsked(c)
	if err != nil {
		return nil, err
	}
	capacity, err := c.Number("Capacity", channel.Capacity, 0, 1_000_000)
	if err != nil {
		return nil, err
	}
	available, err := c.Flag("Available", capacity > 0)
	if err != nil {
		return nil, err
	}
	if available != (capacity > 0) {
		return nil, c.Wrong("Available", "Available follows the capacity: set Capacity to 0 to take the channel away, or to a number from 1 on to give it back")
	}
	if err := people.SetCapacity(c.Changing, c.Desk, agent.Name, channel.Channel, capacity); err != nil {
		return nil, err
	}
	if agent, channel, err = workerChannelAsked(c); err != nil {
		return nil, err
	}
	return renderWorkerChannel(c, agent)(channel), nil
}
