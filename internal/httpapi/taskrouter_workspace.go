package httpapi

import (
	"net/http"
	"slices"
	"strings"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

func workspaceRoutes() []route {
	offline := desk.ActivityOf(desk.PresenceOffline).SID
	return []route{
		get(taskrouter, "/v1/Workspaces", everyone).says("Lists the workspaces: there is one.").with("FriendlyName").
			lists("workspaces", taskmodel.TaskrouterV1Workspace{}).by((*call).listWorkspaces),
		get(taskrouter, workspacePath, everyone).says("Fetches the workspace.").but("EventCallbackUrl is shown to services only.").answers(taskmodel.TaskrouterV1Workspace{}).by((*call).fetchWorkspace),
		post(taskrouter, workspacePath, services, http.StatusOK).says("Sets the URL that receives events, and which events.").
			but("Activities and the order of queues cannot be set. EventsFilter takes [names of events](#names-of-events).").
			with("FriendlyName", "EventCallbackUrl", "EventsFilter").only("DefaultActivitySid", offline).only("TimeoutActivitySid", offline).
			only("MultiTaskEnabled", "true").only("PrioritizeQueueOrder", "FIFO").
			answers(taskmodel.TaskrouterV1Workspace{}).by((*call).updateWorkspace),

		get(taskrouter, workspacePath+"/Activities", everyone).says("Lists the activities.").with("FriendlyName", "Available").
			lists("activities", taskmodel.TaskrouterV1Activity{}).by((*call).listActivities),
		post(taskrouter, workspacePath+"/Activities", services, http.StatusCreated).says("Adds an activity.").with("FriendlyName*", "Available").
			answers(taskmodel.TaskrouterV1Activity{}).by((*call).createActivity),
		get(taskrouter, workspacePath+"/Activities/{activity}", everyone).says("Fetches an activity.").
			answers(taskmodel.TaskrouterV1Activity{}).by((*call).fetchActivity),
		post(taskrouter, workspacePath+"/Activities/{activity}", services, http.StatusOK).says("Renames an activity.").
			but("Available, Break and Offline stay as they are.").with("FriendlyName").
			answers(taskmodel.TaskrouterV1Activity{}).by((*call).updateActivity),
		remove(taskrouter, workspacePath+"/Activities/{activity}", services).says("Removes an activity that no worker has.").by((*call).removeActivity),

		get(taskrouter, workspacePath+"/TaskChannels", everyone).says("Lists the task channels.").
			but("They are the channels of conversations. Others cannot be added.").
			lists("channels", taskmodel.TaskrouterV1TaskChannel{}).by((*call).listTaskChannels),
		get(taskrouter, workspacePath+"/TaskChannels/{taskchannel}", everyone).says("Fetches a task channel, by its SID or its unique name.").
			answers(taskmodel.TaskrouterV1TaskChannel{}).by((*call).fetchTaskChannel),

		get(taskrouter, workspacePath+"/Workflows", everyone).says("Lists the workflows.").with("FriendlyName").
			lists("workflows", taskmodel.TaskrouterV1Workflow{}).by((*call).listWorkflows),
		post(taskrouter, workspacePath+"/Workflows", services, http.StatusCreated).says("Adds a workflow.").
			but("It chooses the queue of a new task: the first target of the first filter that is true for its attributes. "+
				"There are no assignment callbacks, and every workflow has the settings' reservation timeout. "+
				"A target takes queue and priority; other keys of the configuration are refused.").
			with("FriendlyName*", "Configuration*", "TaskReservationTimeout").
			without("AssignmentCallbackUrl", "FallbackAssignmentCallbackUrl").
			answers(taskmodel.TaskrouterV1Workflow{}).by((*call).createWorkflow),
		get(taskrouter, workspacePath+"/Workflows/{workflow}", everyone).says("Fetches a workflow.").
			answers(taskmodel.TaskrouterV1Workflow{}).by((*call).fetchWorkflow),
		post(taskrouter, workspacePath+"/Workflows/{workflow}", services, http.StatusOK).says("Changes a workflow, for future tasks.").
			with("FriendlyName", "Configuration", "TaskReservationTimeout").
			without("AssignmentCallbackUrl", "FallbackAssignmentCallbackUrl").only("ReEvaluateTasks", "false").
			answers(taskmodel.TaskrouterV1Workflow{}).by((*call).updateWorkflow),
		remove(taskrouter, workspacePath+"/Workflows/{workflow}", services).says("Removes a workflow.").by((*call).removeWorkflow),
	}
}

func (c *call) renderWorkspace(a desk.Account) whole[taskmodel.TaskrouterV1Workspace] {
	standard, timedOut := desk.ActivityOf(desk.PresenceOffline), desk.ActivityOf(desk.PresenceOffline)
	callback := a.Workspace.EventCallbackURL // the URL may contain a secret
	if !services.allows(c.caller.key.Role) {
		callback = ""
	}
	base := c.workspaceURL()
	found := links(base, "activities", "task_queues", "workers", "workflows", "tasks", "events", "task_channels", "statistics",
		"real_time_statistics", "cumulative_statistics")
	return all(taskmodel.TaskrouterV1Workspace{
		AccountSid: new(a.SID), Sid: new(c.workspaceSID()), FriendlyName: new(a.Workspace.FriendlyName),
		DateCreated: date(a.CreatedAt), DateUpdated: date(a.UpdatedAt), EventCallbackUrl: text(callback),
		EventsFilter: text(strings.Join(a.Workspace.EventsFilter, ",")), MultiTaskEnabled: new(true),
		DefaultActivityName: new(standard.Name), DefaultActivitySid: new(standard.SID), TimeoutActivityName: new(timedOut.Name),
		TimeoutActivitySid: new(timedOut.SID), PrioritizeQueueOrder: new("FIFO"), Url: new(base), Links: found,
	})
}

func (c *call) listWorkspaces() (any, error) {
	workspaces := []desk.Account{c.account}
	if named := c.form.Get("FriendlyName"); named != "" && named != c.account.Workspace.FriendlyName {
		workspaces = nil
	}
	return some(c, workspaces, c.renderWorkspace)
}

func (c *call) fetchWorkspace() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	return c.renderWorkspace(c.account), nil
}

func (c *call) updateWorkspace() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	callback := c.optional("EventCallbackUrl")
	if callback != nil && *callback != "" {
		if err := c.allowCallback(*callback); err != nil {
			return nil, c.wrong("EventCallbackUrl", "EventCallbackUrl: %s", err)
		}
	}
	account, err := c.desk.SetWorkspace(c.changing, func(w *desk.Workspace) {
		if callback != nil {
			w.EventCallbackURL = *callback
		}
		if name := c.optional("FriendlyName"); name != nil {
			w.FriendlyName = *name
		}
		if filter := c.optional("EventsFilter"); filter != nil {
			w.EventsFilter = slices.DeleteFunc(strings.Split(strings.ReplaceAll(*filter, " ", ""), ","), func(name string) bool { return name == "" })
		}
	})
	if err != nil {
		return nil, err
	}
	return c.renderWorkspace(account), nil
}

func (c *call) renderActivity(a desk.Activity) whole[taskmodel.TaskrouterV1Activity] {
	return all(taskmodel.TaskrouterV1Activity{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Sid: new(a.SID), FriendlyName: new(a.Name), Available: new(a.Available),
		DateCreated: date(a.CreatedAt), DateUpdated: date(a.UpdatedAt), Url: new(c.workspaceURL("Activities", a.SID)),
		Links: &map[string]any{"workspace": c.workspaceURL()},
	})
}

func (c *call) listActivities() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	available, err := c.flag("Available", false)
	if err != nil {
		return nil, err
	}
	activities, err := c.desk.Activities(c.ctx)
	if err != nil {
		return nil, err
	}
	activities = slices.DeleteFunc(activities, func(a desk.Activity) bool {
		named := c.form.Get("FriendlyName")
		return (named != "" && a.Name != named) || (c.form.Get("Available") != "" && a.Available != available)
	})
	return some(c, activities, c.renderActivity)
}

func (c *call) createActivity() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	name, err := c.required("FriendlyName")
	if err != nil {
		return nil, err
	}
	available, err := c.flag("Available", false)
	if err != nil {
		return nil, err
	}
	added, err := c.desk.AddActivity(c.changing, name, available)
	if err != nil {
		return c.repeatedActivity(err, name, available)
	}
	return c.renderActivity(added), nil
}

// repeatedActivity answers a repeated request with the activity that its first attempt added.
func (c *call) repeatedActivity(err error, name string, available bool) (any, error) {
	if !c.repeated(err) {
		return nil, err
	}
	activities, other := c.desk.Activities(c.ctx)
	for _, a := range activities {
		if a.Name == name && a.Available == available {
			return c.renderActivity(a), nil
		}
	}
	if other != nil {
		return nil, other
	}
	return nil, err
}

// activityAsked returns the activity that the path names.
func (c *call) activityAsked() (desk.Activity, error) {
	if err := c.workspace(); err != nil {
		return desk.Activity{}, err
	}
	given := c.r.PathValue("activity")
	activities, err := c.desk.Activities(c.ctx)
	for _, a := range activities {
		if sameDigits(given, a.SID) {
			return a, err
		}
	}
	if err != nil {
		return desk.Activity{}, err
	}
	return desk.Activity{}, c.lost("activity", given)
}

// activityGiven reads the SID of an existing activity; "" if the field is empty.
func (c *call) activityGiven(field string) (string, error) {
	sid, err := c.sid(field, desk.PrefixActivity)
	if err != nil || sid == "" {
		return "", err
	}
	activities, err := c.desk.Activities(c.ctx)
	if err == nil && !slices.ContainsFunc(activities, func(a desk.Activity) bool { return a.SID == sid }) {
		return "", c.wrong(field, "There is no activity %s: see the list of activities", sid)
	}
	return sid, err
}

func (c *call) fetchActivity() (any, error) {
	found, err := c.activityAsked()
	if err != nil {
		return nil, err
	}
	return c.renderActivity(found), nil
}

func (c *call) updateActivity() (any, error) {
	found, err := c.activityAsked()
	if err != nil {
		return nil, err
	}
	if name := c.optional("FriendlyName"); name != nil && *name != found.Name {
		if found, err = c.desk.RenameActivity(c.changing, found.SID, *name); err != nil {
			return nil, err
		}
	}
	return c.renderActivity(found), nil
}

func (c *call) removeActivity() (any, error) {
	found, err := c.activityAsked()
	if err != nil {
		return nil, err
	}
	return nil, c.inUse(c.desk.RemoveActivity(c.changing, found.SID))
}

// inUse turns the refusal to remove a record that is in use into a conflict.
func (c *call) inUse(err error) error {
	if refusal, refused := asRefusal(err); refused {
		return told(refusal, conflict, c.route)
	}
	return err
}

func (c *call) renderTaskChannel(channel conversation.Channel) whole[taskmodel.TaskrouterV1TaskChannel] {
	return all(taskmodel.TaskrouterV1TaskChannel{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Sid: new(channelSID(channel)), UniqueName: new(string(channel)),
		FriendlyName: new(channelNames[channel]), DateCreated: date(c.account.CreatedAt), DateUpdated: date(c.account.CreatedAt),
		ChannelOptimizedRouting: new(false), Url: new(c.workspaceURL("TaskChannels", channelSID(channel))),
		Links: &map[string]any{"workspace": c.workspaceURL()},
	})
}

var channelNames = map[conversation.Channel]string{
	conversation.ChannelWeb: "Web", conversation.ChannelSMS: "SMS", conversation.ChannelWhatsApp: "WhatsApp",
	conversation.ChannelMessenger: "Messenger", conversation.ChannelChat: "Chat", conversation.ChannelEmail: "Email",
}

func (c *call) listTaskChannels() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	return some(c, conversation.Channels(), c.renderTaskChannel)
}

func (c *call) fetchTaskChannel() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	given := c.r.PathValue("taskchannel")
	for _, channel := range conversation.Channels() {
		if given == string(channel) || sameDigits(given, channelSID(channel)) {
			return c.renderTaskChannel(channel), nil
		}
	}
	return nil, c.lost("task channel", given)
}

func (c *call) renderWorkflow(reservationTimeout int) func(desk.Workflow) whole[taskmodel.TaskrouterV1Workflow] {
	return func(w desk.Workflow) whole[taskmodel.TaskrouterV1Workflow] {
		base := c.workspaceURL("Workflows", w.SID)
		return all(taskmodel.TaskrouterV1Workflow{
			AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Sid: new(w.SID), FriendlyName: new(w.FriendlyName),
			Configuration: new(w.Configuration), DocumentContentType: new("application/json"), TaskReservationTimeout: reservationTimeout,
			DateCreated: date(w.CreatedAt), DateUpdated: date(w.UpdatedAt), Url: new(base),
			Links: links(base, "statistics", "real_time_statistics", "cumulative_statistics"),
		})
	}
}

func (c *call) listWorkflows() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	settings, err := c.desk.Settings(c.ctx)
	if err != nil {
		return nil, err
	}
	workflows, err := c.desk.Workflows(c.ctx)
	if err != nil {
		return nil, err
	}
	if named := c.form.Get("FriendlyName"); named != "" {
		workflows = slices.DeleteFunc(workflows, func(w desk.Workflow) bool { return w.FriendlyName != named })
	}
	return some(c, workflows, c.renderWorkflow(settings.ReservationTimeout))
}

// workflowFound returns the workflow that the path names.
func (c *call) workflowFound() (desk.Workflow, error) {
	if err := c.workspace(); err != nil {
		return desk.Workflow{}, err
	}
	given := c.r.PathValue("workflow")
	workflows, err := c.desk.Workflows(c.ctx)
	for _, w := range workflows {
		if sameDigits(given, w.SID) {
			return w, err
		}
	}
	if err != nil {
		return desk.Workflow{}, err
	}
	return desk.Workflow{}, c.lost("workflow", given)
}

func (c *call) answerWorkflow(w desk.Workflow) (any, error) {
	settings, err := c.desk.Settings(c.ctx)
	return c.renderWorkflow(settings.ReservationTimeout)(w), err
}

func (c *call) fetchWorkflow() (any, error) {
	found, err := c.workflowFound()
	if err != nil {
		return nil, err
	}
	return c.answerWorkflow(found)
}

// reservationTimeout refuses any reservation timeout except the settings', which applies to all workflows.
func (c *call) reservationTimeout() error {
	settings, err := c.desk.Settings(c.ctx)
	if err != nil {
		return err
	}
	wanted, err := c.number("TaskReservationTimeout", settings.ReservationTimeout, 1, 86_400)
	if err == nil && wanted != settings.ReservationTimeout {
		return c.wrong("TaskReservationTimeout", "Every workflow has the reservation timeout of the settings, %d seconds: leave it out, or change the settings",
			settings.ReservationTimeout)
	}
	return err
}

func (c *call) createWorkflow() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	name, err := c.required("FriendlyName")
	if err != nil {
		return nil, err
	}
	configuration, err := c.required("Configuration")
	if err != nil {
		return nil, err
	}
	if err := c.reservationTimeout(); err != nil {
		return nil, err
	}
	saved, err := c.desk.SaveWorkflow(c.changing, desk.Workflow{FriendlyName: name, Configuration: configuration})
	if err != nil && c.repeated(err) {
		workflows, other := c.desk.Workflows(c.ctx)
		if other != nil {
			return nil, other
		}
		at := slices.IndexFunc(workflows, func(w desk.Workflow) bool { return w.FriendlyName == name && w.Configuration == configuration })
		if at >= 0 {
			return c.answerWorkflow(workflows[at])
		}
	}
	if err != nil {
		return nil, err
	}
	return c.answerWorkflow(saved)
}

func (c *call) updateWorkflow() (any, error) {
	found, err := c.workflowFound()
	if err != nil {
		return nil, err
	}
	if err := c.reservationTimeout(); err != nil {
		return nil, err
	}
	if name := c.optional("FriendlyName"); name != nil {
		found.FriendlyName = *name
	}
	if configuration := c.optional("Configuration"); configuration != nil {
		found.Configuration = *configuration
	}
	if found, err = c.desk.SaveWorkflow(c.changing, found); err != nil {
		return nil, err
	}
	return c.answerWorkflow(found)
}

func (c *call) removeWorkflow() (any, error) {
	found, err := c.workflowFound()
	if err != nil {
		return nil, err
	}
	return nil, c.inUse(c.desk.RemoveWorkflow(c.changing, found.SID))
}
