package taskrouter

import (
	"net/http"
	"slices"
	"strings"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/routes"
	"github.com/baton-transfers/baton/internal/routing"
)

// Routes returns the calls of the TaskRouter API.
func Routes() []rest.Route {
	return rest.Of(rest.ProductTaskRouter, workspaceRoutes(), workerRoutes(), queueRoutes(), taskRoutes(), reservationRoutes(), eventRoutes(), statisticsRoutes())
}

func workspaceRoutes() []rest.Route {
	offline := routing.ActivityOf(desk.PresenceOffline).SID
	return []rest.Route{
		rest.Get("/v1/Workspaces", rest.Everyone).Says("Lists the workspaces: there is one.").With("FriendlyName").
			Lists("workspaces", taskmodel.TaskrouterV1Workspace{}).By(listWorkspaces),
		rest.Get(workspacePath, rest.Everyone).Says("Fetches the workspace.").But("EventCallbackUrl is shown to services only.").Answers(taskmodel.TaskrouterV1Workspace{}).By(fetchWorkspace),
		rest.Post(workspacePath, rest.Services, http.StatusOK).Says("Sets the URL that receives events, and which events.").
			But("Activities and the order of queues cannot be set. EventsFilter takes [names of events](#names-of-events).").
			With("FriendlyName", "EventCallbackUrl", "EventsFilter").Only("DefaultActivitySid", offline).Only("TimeoutActivitySid", offline).
			Only("MultiTaskEnabled", "true").Only("PrioritizeQueueOrder", "FIFO").
			Answers(taskmodel.TaskrouterV1Workspace{}).By(updateWorkspace),

		rest.Get(workspacePath+"/Activities", rest.Everyone).Says("Lists the activities.").With("FriendlyName", "Available").
			Lists("activities", taskmodel.TaskrouterV1Activity{}).By(listActivities),
		rest.Post(workspacePath+"/Activities", rest.Services, http.StatusCreated).Says("Adds an activity.").With("FriendlyName*", "Available").
			Answers(taskmodel.TaskrouterV1Activity{}).By(createActivity),
		rest.Get(workspacePath+"/Activities/{activity}", rest.Everyone).Says("Fetches an activity.").
			Answers(taskmodel.TaskrouterV1Activity{}).By(fetchActivity),
		rest.Post(workspacePath+"/Activities/{activity}", rest.Services, http.StatusOK).Says("Renames an activity.").
			But("Available, Break and Offline stay as they are.").With("FriendlyName").
			Answers(taskmodel.TaskrouterV1Activity{}).By(updateActivity),
		rest.Delete(workspacePath+"/Activities/{activity}", rest.Services).Says("Removes an activity that no worker has.").By(removeActivity),

		rest.Get(workspacePath+"/TaskChannels", rest.Everyone).Says("Lists the task channels.").
			But("They are the channels of conversations. Others cannot be added.").
			Lists("channels", taskmodel.TaskrouterV1TaskChannel{}).By(listTaskChannels),
		rest.Get(workspacePath+"/TaskChannels/{taskchannel}", rest.Everyone).Says("Fetches a task channel, by its SID or its unique name.").
			Answers(taskmodel.TaskrouterV1TaskChannel{}).By(fetchTaskChannel),

		rest.Get(workspacePath+"/Workflows", rest.Everyone).Says("Lists the workflows.").With("FriendlyName").
			Lists("workflows", taskmodel.TaskrouterV1Workflow{}).By(listWorkflows),
		rest.Post(workspacePath+"/Workflows", rest.Services, http.StatusCreated).Says("Adds a workflow.").
			But("It chooses the queue of a new task: the first target of the first filter that is true for its attributes. "+
				"There are no assignment callbacks, and every workflow has the settings' reservation timeout. "+
				"A target takes queue and priority; other keys of the configuration are refused.").
			With("FriendlyName*", "Configuration*", "TaskReservationTimeout").
			Without("AssignmentCallbackUrl", "FallbackAssignmentCallbackUrl").
			Answers(taskmodel.TaskrouterV1Workflow{}).By(createWorkflow),
		rest.Get(workspacePath+"/Workflows/{workflow}", rest.Everyone).Says("Fetches a workflow.").
			Answers(taskmodel.TaskrouterV1Workflow{}).By(fetchWorkflow),
		rest.Post(workspacePath+"/Workflows/{workflow}", rest.Services, http.StatusOK).Says("Changes a workflow, for future tasks.").
			With("FriendlyName", "Configuration", "TaskReservationTimeout").
			Without("AssignmentCallbackUrl", "FallbackAssignmentCallbackUrl").Only("ReEvaluateTasks", "false").
			Answers(taskmodel.TaskrouterV1Workflow{}).By(updateWorkflow),
		rest.Delete(workspacePath+"/Workflows/{workflow}", rest.Services).Says("Removes a workflow.").By(removeWorkflow),
	}
}

func renderWorkspace(c *rest.Call, a access.Account) rest.Whole[taskmodel.TaskrouterV1Workspace] {
	standard, timedOut := routing.ActivityOf(desk.PresenceOffline), routing.ActivityOf(desk.PresenceOffline)
	callback := a.Workspace.EventCallbackURL // the URL may contain a secret
	if c.Caller.Key.Role != access.KeyService {
		callback = ""
	}
	base := c.WorkspaceURL()
	found := rest.Links(base, "activities", "task_queues", "workers", "workflows", "tasks", "events", "task_channels", "statistics",
		"real_time_statistics", "cumulative_statistics")
	return rest.All(taskmodel.TaskrouterV1Workspace{
		AccountSid: new(a.SID), Sid: new(c.WorkspaceSID()), FriendlyName: new(a.Workspace.FriendlyName),
		DateCreated: rest.Date(a.CreatedAt), DateUpdated: rest.Date(a.UpdatedAt), EventCallbackUrl: rest.Text(callback),
		EventsFilter: rest.Text(strings.Join(a.Workspace.EventsFilter, ",")), MultiTaskEnabled: new(true),
		DefaultActivityName: new(standard.Name), DefaultActivitySid: new(standard.SID), TimeoutActivityName: new(timedOut.Name),
		TimeoutActivitySid: new(timedOut.SID), PrioritizeQueueOrder: new("FIFO"), Url: new(base), Links: found,
	})
}

func listWorkspaces(c *rest.Call) (any, error) {
	workspaces := []access.Account{c.Account}
	if named := c.Form.Get("FriendlyName"); named != "" && named != c.Account.Workspace.FriendlyName {
		workspaces = nil
	}
	return rest.Some(c, workspaces, func(a access.Account) any { return renderWorkspace(c, a) })
}

func fetchWorkspace(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	return renderWorkspace(c, c.Account), nil
}

func updateWorkspace(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	callback := c.Optional("EventCallbackUrl")
	if callback != nil && *callback != "" {
		if err := c.AllowCallback(*callback); err != nil {
			return nil, c.Wrong("EventCallbackUrl", "EventCallbackUrl: %s", err)
		}
	}
	account, err := access.SetWorkspace(c.Changing, c.Desk, func(w *access.Workspace) {
		if callback != nil {
			w.EventCallbackURL = *callback
		}
		if name := c.Optional("FriendlyName"); name != nil {
			w.FriendlyName = *name
		}
		if filter := c.Optional("EventsFilter"); filter != nil {
			w.EventsFilter = slices.DeleteFunc(strings.Split(strings.ReplaceAll(*filter, " ", ""), ","), func(name string) bool { return name == "" })
		}
	})
	if err != nil {
		return nil, err
	}
	return renderWorkspace(c, account), nil
}

func renderActivity(c *rest.Call, a routing.Activity) rest.Whole[taskmodel.TaskrouterV1Activity] {
	return rest.All(taskmodel.TaskrouterV1Activity{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Sid: new(a.SID), FriendlyName: new(a.Name), Available: new(a.Available),
		DateCreated: rest.Date(a.CreatedAt), DateUpdated: rest.Date(a.UpdatedAt), Url: new(c.WorkspaceURL("Activities", a.SID)),
		Links: &map[string]any{"workspace": c.WorkspaceURL()},
	})
}

func listActivities(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	available, err := c.Flag("Available", false)
	if err != nil {
		return nil, err
	}
	activities, err := routing.ListActivities(c.Ctx, c.Desk)
	if err != nil {
		return nil, err
	}
	activities = slices.DeleteFunc(activities, func(a routing.Activity) bool {
		named := c.Form.Get("FriendlyName")
		return (named != "" && a.Name != named) || (c.Form.Get("Available") != "" && a.Available != available)
	})
	return rest.Some(c, activities, func(a routing.Activity) any { return renderActivity(c, a) })
}

func createActivity(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	name, err := c.Required("FriendlyName")
	if err != nil {
		return nil, err
	}
	available, err := c.Flag("Available", false)
	if err != nil {
		return nil, err
	}
	added, err := routing.AddActivity(c.Changing, c.Desk, name, available)
	if err != nil {
		return repeatedActivity(c, err, name, available)
	}
	return renderActivity(c, added), nil
}

// repeatedActivity answers a repeated request with the activity that its first attempt added.
func repeatedActivity(c *rest.Call, err error, name string, available bool) (any, error) {
	if !isRepeat(c, err) {
		return nil, err
	}
	activities, other := routing.ListActivities(c.Ctx, c.Desk)
	for _, a := range activities {
		if a.Name == name && a.Available == available {
			return renderActivity(c, a), nil
		}
	}
	if other != nil {
		return nil, other
	}
	return nil, err
}

// activityAsked returns the activity that the path names.
func activityAsked(c *rest.Call) (routing.Activity, error) {
	if err := checkWorkspace(c); err != nil {
		return routing.Activity{}, err
	}
	given := c.Request.PathValue("activity")
	activities, err := routing.ListActivities(c.Ctx, c.Desk)
	for _, a := range activities {
		if rest.SameDigits(given, a.SID) {
			return a, err
		}
	}
	if err != nil {
		return routing.Activity{}, err
	}
	return routing.Activity{}, c.Lost("activity", given)
}

// activityGiven reads the SID of an existing activity; "" if the field is empty.
func activityGiven(c *rest.Call, field string) (string, error) {
	sid, err := c.SID(field, desk.PrefixActivity)
	if err != nil || sid == "" {
		return "", err
	}
	activities, err := routing.ListActivities(c.Ctx, c.Desk)
	if err == nil && !slices.ContainsFunc(activities, func(a routing.Activity) bool { return a.SID == sid }) {
		return "", c.Wrong(field, "There is no activity %s: see the list of activities", sid)
	}
	return sid, err
}

func fetchActivity(c *rest.Call) (any, error) {
	found, err := activityAsked(c)
	if err != nil {
		return nil, err
	}
	return renderActivity(c, found), nil
}

func updateActivity(c *rest.Call) (any, error) {
	found, err := activityAsked(c)
	if err != nil {
		return nil, err
	}
	if name := c.Optional("FriendlyName"); name != nil && *name != found.Name {
		if found, err = routing.RenameActivity(c.Changing, c.Desk, found.SID, *name); err != nil {
			return nil, err
		}
	}
	return renderActivity(c, found), nil
}

func removeActivity(c *rest.Call) (any, error) {
	found, err := activityAsked(c)
	if err != nil {
		return nil, err
	}
	return nil, inUse(c, routing.RemoveActivity(c.Changing, c.Desk, found.SID))
}

// inUse turns the refusal to remove a record that is in use into a conflict.
func inUse(c *rest.Call, err error) error {
	if refusal, refused := rest.AsRefusal(err); refused {
		return c.Conflict(refusal)
	}
	return err
}

func renderTaskChannel(c *rest.Call, channel conversation.Channel) rest.Whole[taskmodel.TaskrouterV1TaskChannel] {
	return rest.All(taskmodel.TaskrouterV1TaskChannel{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Sid: new(rest.ChannelSID(channel)), UniqueName: new(string(channel)),
		FriendlyName: new(channelNames[channel]), DateCreated: rest.Date(c.Account.CreatedAt), DateUpdated: rest.Date(c.Account.CreatedAt),
		ChannelOptimizedRouting: new(false), Url: new(c.WorkspaceURL("TaskChannels", rest.ChannelSID(channel))),
		Links: &map[string]any{"workspace": c.WorkspaceURL()},
	})
}

var channelNames = map[conversation.Channel]string{
	conversation.ChannelWeb: "Web", conversation.ChannelSMS: "SMS", conversation.ChannelWhatsApp: "WhatsApp",
	conversation.ChannelMessenger: "Messenger", conversation.ChannelChat: "Chat", conversation.ChannelEmail: "Email",
}

func listTaskChannels(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	return rest.Some(c, conversation.Channels(), func(channel conversation.Channel) any { return renderTaskChannel(c, channel) })
}

func fetchTaskChannel(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	given := c.Request.PathValue("taskchannel")
	for _, channel := range conversation.Channels() {
		if given == string(channel) || rest.SameDigits(given, rest.ChannelSID(channel)) {
			return renderTaskChannel(c, channel), nil
		}
	}
	return nil, c.Lost("task channel", given)
}

func renderWorkflow(c *rest.Call, reservationTimeout int) func(routes.Workflow) rest.Whole[taskmodel.TaskrouterV1Workflow] {
	return func(w routes.Workflow) rest.Whole[taskmodel.TaskrouterV1Workflow] {
		base := c.WorkspaceURL("Workflows", w.SID)
		return rest.All(taskmodel.TaskrouterV1Workflow{
			AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Sid: new(w.SID), FriendlyName: new(w.FriendlyName),
			Configuration: new(w.Configuration), DocumentContentType: new("application/json"), TaskReservationTimeout: reservationTimeout,
			DateCreated: rest.Date(w.CreatedAt), DateUpdated: rest.Date(w.UpdatedAt), Url: new(base),
			Links: rest.Links(base, "statistics", "real_time_statistics", "cumulative_statistics"),
		})
	}
}

func listWorkflows(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	settings, err := desk.ReadSettings(c.Ctx, c.Desk)
	if err != nil {
		return nil, err
	}
	workflows, err := routes.ListWorkflows(c.Ctx, c.Desk)
	if err != nil {
		return nil, err
	}
	if named := c.Form.Get("FriendlyName"); named != "" {
		workflows = slices.DeleteFunc(workflows, func(w routes.Workflow) bool { return w.FriendlyName != named })
	}
	return rest.Some(c, workflows, renderWorkflow(c, settings.ReservationTimeout))
}

// workflowFound returns the workflow that the path names.
func workflowFound(c *rest.Call) (routes.Workflow, error) {
	if err := checkWorkspace(c); err != nil {
		return routes.Workflow{}, err
	}
	given := c.Request.PathValue("workflow")
	workflows, err := routes.ListWorkflows(c.Ctx, c.Desk)
	for _, w := range workflows {
		if rest.SameDigits(given, w.SID) {
			return w, err
		}
	}
	if err != nil {
		return routes.Workflow{}, err
	}
	return routes.Workflow{}, c.Lost("workflow", given)
}

func answerWorkflow(c *rest.Call, w routes.Workflow) (any, error) {
	settings, err := desk.ReadSettings(c.Ctx, c.Desk)
	return renderWorkflow(c, settings.ReservationTimeout)(w), err
}

func fetchWorkflow(c *rest.Call) (any, error) {
	found, err := workflowFound(c)
	if err != nil {
		return nil, err
	}
	return answerWorkflow(c, found)
}

// reservationTimeout refuses any reservation timeout except the settings', which applies to all workflows.
func reservationTimeout(c *rest.Call) error {
	settings, err := desk.ReadSettings(c.Ctx, c.Desk)
	if err != nil {
		return err
	}
	wanted, err := c.Number("TaskReservationTimeout", settings.ReservationTimeout, 1, 86_400)
	if err == nil && wanted != settings.ReservationTimeout {
		return c.Wrong("TaskReservationTimeout", "Every workflow has the reservation timeout of the settings, %d seconds: leave it out, or change the settings",
			settings.ReservationTimeout)
	}
	return err
}

func createWorkflow(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	name, err := c.Required("FriendlyName")
	if err != nil {
		return nil, err
	}
	configuration, err := c.Required("Configuration")
	if err != nil {
		return nil, err
	}
	if err := reservationTimeout(c); err != nil {
		return nil, err
	}
	saved, err := routes.SaveWorkflow(c.Changing, c.Desk, routes.Workflow{FriendlyName: name, Configuration: configuration})
	if err != nil && isRepeat(c, err) {
		workflows, other := routes.ListWorkflows(c.Ctx, c.Desk)
		if other != nil {
			return nil, other
		}
		at := slices.IndexFunc(workflows, func(w routes.Workflow) bool { return w.FriendlyName == name && w.Configuration == configuration })
		if at >= 0 {
			return answerWorkflow(c, workflows[at])
		}
	}
	if err != nil {
		return nil, err
	}
	return answerWorkflow(c, saved)
}

func updateWorkflow(c *rest.Call) (any, error) {
	found, err := workflowFound(c)
	if err != nil {
		return nil, err
	}
	if err := reservationTimeout(c); err != nil {
		return nil, err
	}
	if name := c.Optional("FriendlyName"); name != nil {
		found.FriendlyName = *name
	}
	if configuration := c.Optional("Configuration"); configuration != nil {
		found.Configuration = *configuration
	}
	if found, err = routes.SaveWorkflow(c.Changing, c.Desk, found); err != nil {
		return nil, err
	}
	return answerWorkflow(c, found)
}

func removeWorkflow(c *rest.Call) (any, error) {
	found, err := workflowFound(c)
	if err != nil {
		return nil, err
	}
	return nil, inUse(c, routes.RemoveWorkflow(c.Changing, c.Desk, found.SID))
}
