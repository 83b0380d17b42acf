package flex

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"

	flexmodel "github.com/twilio/twilio-go/rest/flex/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/httpapi/tasks"
	"github.com/baton-transfers/baton/internal/records"
)

const (
	interactionPath = "/v1/Interactions/{interaction}"
	channelPath     = interactionPath + "/Channels/{channel}"
)

// Routes returns the calls of the Flex API.
func Routes() []rest.Route {
	return rest.Of(rest.ProductFlex, interactionRoutes(), participantRoutes(), transferRoutes(), noteRoutes(), insightRoutes())
}

func interactionRoutes() []rest.Route {
	return []rest.Route{
		rest.Post("/v1/Interactions", rest.Services, http.StatusOK).Says("Starts a conversation, or creates one that a later invite starts.").
			But("Without Routing nothing is routed until an invite is created. `routing.properties` takes workspace_sid, workflow_sid, queue_sid, worker_sid, task_channel_unique_name (the channel's type, or chat), priority and attributes; "+
				"`channel` takes type, initiated_by, properties.media_channel_sid and one participant with name and address. Other keys are refused. The settings' timeouts apply.").
			With("Channel*", "Routing", "InteractionContextSid", "WebhookTtid").Answers(flexmodel.FlexV1Interaction{}).By(createInteraction),
		rest.Get(interactionPath, rest.Everyone).Says("Fetches an interaction.").Answers(flexmodel.FlexV1Interaction{}).By(fetchInteraction),
		rest.Post(interactionPath, rest.Services, http.StatusOK).Says("Changes an interaction's WebhookTtid.").With("WebhookTtid").
			Answers(flexmodel.FlexV1Interaction{}).By(updateInteraction),
		rest.Get(interactionPath+"/Channels", rest.Everyone).Says("Lists the interaction's channels: there is one.").
			Lists("channels", flexmodel.FlexV1InteractionChannel{}).By(listChannels),
		rest.Get(channelPath, rest.Everyone).Says("Fetches the interaction's channel.").Answers(flexmodel.FlexV1InteractionChannel{}).By(fetchChannel),
		rest.Post(channelPath, rest.Everyone, http.StatusOK).Says("Ends the customer's side: waiting tasks are canceled, and the agent's task is wrapping.").
			But("`inactive` and `closed` do the same. With Routing `{\"status\":\"closed\"}` wrap-ups are completed too; the default is `wrapup`.").
			With("Status*", "Routing").Answers(flexmodel.FlexV1InteractionChannel{}).By(updateChannel),
		rest.Post(channelPath+"/Invites", rest.Staff, http.StatusOK).Says("Starts an interaction that was created without Routing, or moves its waiting task.").
			But("Refused if an agent has the conversation: transfer it instead. A waiting task keeps its priority and attributes.").
			With("Routing*").Answers(flexmodel.FlexV1InteractionChannelInvite{}).By(createInvite),
		rest.Get(channelPath+"/Invites", rest.Everyone).Says("Lists the invites: one for each task.").
			Lists("invites", flexmodel.FlexV1InteractionChannelInvite{}).By(listInvites),
	}
}

// interactionAsked returns the SID of the conversation that the path means.
func interactionAsked(c *rest.Call) (string, error) {
	digits, err := c.Path("interaction", conversation.PrefixInteraction, "interaction")
	if err != nil {
		return "", err
	}
	if given := c.Request.PathValue("channel"); given != "" {
		channel, err := c.Path("channel", conversation.PrefixInteractionChannel, "channel")
		if err != nil || channel != digits {
			return "", c.Lost("channel", given)
		}
	}
	return conversation.PrefixConversation + digits, nil
}

// interactionNow returns the present state of the conversation that the path means.
func interactionNow(c *rest.Call) (*rest.View, error) {
	sid, err := interactionAsked(c)
	if err != nil {
		return nil, err
	}
	v, err := c.View(sid)
	return v, c.NotThere(err, "interaction", c.Request.PathValue("interaction"))
}

// channelParameter is the form parameter Channel.
type channelParameter struct {
	Type        conversation.Channel `json:"type"`
	InitiatedBy string               `json:"initiated_by"`
	Properties  struct {
		MediaChannelSID string               `json:"media_channel_sid"`
		Type            conversation.Channel `json:"type"`
	} `json:"properties"`
	Participants []struct {
		Address string `json:"address"`
		Name    string `json:"name"`
	} `json:"participants"`
}

// closingParameter is the form parameter Routing of a channel's update.
type closingParameter struct {
	Status string `json:"status"`
}

// routingParameter is the form parameter Routing of a new task.
type routingParameter struct {
	Properties *struct {
		WorkspaceSID          string          `json:"workspace_sid"`
		WorkflowSID           string          `json:"workflow_sid"`
		QueueSID              string          `json:"queue_sid"`
		WorkerSID             string          `json:"worker_sid"`
		TaskChannelUniqueName string          `json:"task_channel_unique_name"`
		Priority              *int            `json:"priority"`
		Attributes            json.RawMessage `json:"attributes"`
	} `json:"properties"`
}

// messagingTaskChannel is the task channel that Flex uses for every messaging channel. In Baton each channel type
// has a task channel of its own, with its own capacity.
const messagingTaskChannel = "chat"

// readOpening reads the routing of a new conversation.
func readOpening(c *rest.Call, channel conversation.Channel, given routingParameter) (tasks.Opening, error) {
	o := tasks.Opening{Start: conversation.StartCommand{Channel: channel}}
	p := given.Properties
	if p == nil {
		return o, c.Wrong("Routing", `Routing needs properties, as in {"properties":{"queue_sid":"WQ…"}}`)
	}
	if p.WorkspaceSID != "" && p.WorkspaceSID != c.WorkspaceSID() {
		return o, c.Lost("workspace", p.WorkspaceSID)
	}
	if !slices.Contains([]string{"", string(channel), messagingTaskChannel}, p.TaskChannelUniqueName) {
		return o, c.Wrong("Routing", "task_channel_unique_name can only be the type of the channel, %s, or %s: leave it out", channel, messagingTaskChannel)
	}
	var err error
	if o.Start.Attributes, err = tasks.Attributes(c, p.Attributes); err != nil {
		return o, err
	}
	if o.Start.Queue, o.Start.Priority, err = tasks.Route(c, p.QueueSID, p.WorkflowSID, o.Start.Attributes); err != nil {
		return o, err
	}
	o.Workflow = p.WorkflowSID
	if p.Priority != nil {
		o.Start.Priority = *p.Priority
	}
	if p.WorkerSID != "" {
		if o.Start.Agent, err = tasks.AgentOf(c, "worker_sid", p.WorkerSID); err != nil {
			return o, err
		}
	}
	o.Start.Customer = tasks.CustomerOf(o.Start.Attributes)
	return o, nil
}

func createInteraction(c *rest.Call) (any, error) {
	var channel channelParameter
	if err := c.Decode("Channel", &channel); err != nil {
		return nil, err
	}
	if !slices.Contains(conversation.Channels(), channel.Type) {
		return nil, c.Wrong("Channel", "There is no channel of the type %s here: use web, sms, whatsapp, messenger, chat or email", rest.Quoted(string(channel.Type)))
	}
	if err := channelAsGiven(c, channel); err != nil {
		return nil, err
	}
	sid, err := mediaChannel(c, channel)
	if err != nil {
		return nil, err
	}
	details := records.Details{ContextSID: c.Form.Get("InteractionContextSid"), WebhookTTID: c.Form.Get("WebhookTtid")}
	customer, err := customer(c, sid, channel)
	if err != nil {
		return nil, err
	}
	if c.Form.Get("Routing") == "" {
		return openInteraction(c, records.Draft{SID: sid, Channel: channel.Type, Customer: customer, Details: details})
	}
	var routing routingParameter
	if err := c.Decode("Routing", &routing); err != nil {
		return nil, err
	}
	o, err := readOpening(c, channel.Type, routing)
	if err != nil {
		return nil, err
	}
	o.Start.Conversation = sid
	o.Start.Customer = merged(customer, o.Start.Customer)
	if err := tasks.Start(c, o, details); err != nil {
		return nil, err
	}
	return interactionOf(c, sid)
}

// channelAsGiven refuses values of a channel that are not supported.
func channelAsGiven(c *rest.Call, channel channelParameter) error {
	switch {
	case !slices.Contains([]string{"", "customer", "agent", "api"}, channel.InitiatedBy):
		return c.Wrong("Channel", "initiated_by has to be customer, agent or api")
	case channel.Properties.Type != "" && channel.Properties.Type != channel.Type:
		return c.Wrong("Channel", "properties.type can only be the type of the channel, %s: leave it out", channel.Type)
	case len(channel.Participants) > 1:
		return c.Wrong("Channel", "participants can only have one entry, the customer: add others to the interaction later")
	}
	return nil
}

// openInteraction opens an interaction that an invite starts later. Its conversation may be open already.
func openInteraction(c *rest.Call, draft records.Draft) (any, error) {
	if _, err := records.OpenDraft(c.Ctx, c.Desk, draft); err != nil {
		return nil, err
	}
	v, err := c.ViewFor(draft.SID)
	if err != nil {
		return nil, err
	}
	if !v.Draft {
		return nil, c.Conflict(conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: "conversation"},
			"the conversation %s was started before: carry on with its interaction", draft.SID))
	}
	if err := records.SetDraft(c.Ctx, c.Desk, draft.SID, draft.Channel, merged(draft.Customer, v.Customer), tasks.AddTo(draft.Details)); err != nil {
		return nil, err
	}
	return interactionOf(c, draft.SID)
}

// mediaChannel returns the conversation that the channel names, or the SID of a new one.
func mediaChannel(c *rest.Call, channel channelParameter) (string, error) {
	given := channel.Properties.MediaChannelSID
	switch {
	case given == "":
		return c.NewSID(conversation.PrefixConversation), nil
	case !conversation.IsSID(conversation.PrefixConversation, given):
		return "", c.Wrong("Channel", "media_channel_sid has to be the SID of a conversation: CH and 32 lower-case hex digits")
	}
	if _, err := records.FindConversation(c.Ctx, c.Desk, given); err != nil {
		return "", c.NotThere(err, "conversation", given)
	}
	return given, nil
}

// customer reads the customer from the channel's participants, then from those of a conversation that was opened
// before.
func customer(c *rest.Call, sid string, channel channelParameter) (conversation.Customer, error) {
	var customer conversation.Customer
	for _, p := range channel.Participants {
		customer = merged(customer, conversation.Customer{Name: p.Name, Address: p.Address})
	}
	added, err := records.ListParticipants(c.Ctx, c.Desk, sid)
	for _, p := range added {
		customer = merged(customer, conversation.Customer{Name: p.Identity, Address: p.Address})
	}
	return customer, err
}

// merged returns the first customer, with empty fields filled from the second.
func merged(first, second conversation.Customer) conversation.Customer {
	if first.Name == "" {
		first.Name = second.Name
	}
	if first.Address == "" {
		first.Address = second.Address
	}
	return first
}

func interactionOf(c *rest.Call, sid string) (any, error) {
	v, err := c.ViewFor(sid)
	if err != nil {
		return nil, err
	}
	return renderInteraction(c, v)
}

func renderInteraction(c *rest.Call, v *rest.View) (any, error) {
	details, err := c.Details(v)
	if err != nil {
		return nil, err
	}
	routing, err := routingOf(c, v.Latest())
	if err != nil {
		return nil, err
	}
	base := c.URL("v1", "Interactions", interactionSID(v.SID))
	return rest.All(flexmodel.FlexV1Interaction{
		Sid: new(interactionSID(v.SID)), Channel: rest.Object(map[string]any{"type": v.Channel, "sid": channelOf(v.SID)}), Routing: new(routing),
		Url: new(base), Links: rest.Links(base, "channels"), InteractionContextSid: rest.Text(details.ContextSID), WebhookTtid: rest.Text(details.WebhookTTID),
	}), nil
}

func interactionSID(sid string) string {
	return conversation.SameSID(conversation.PrefixInteraction, sid)
}

func channelOf(sid string) string {
	return conversation.SameSID(conversation.PrefixInteractionChannel, sid)
}

func channelURL(c *rest.Call, sid string, parts ...string) string {
	return c.URL(append([]string{"v1", "Interactions", interactionSID(sid), "Channels", channelOf(sid)}, parts...)...)
}

// routingOf returns the routing of a task in the form of Flex; nil if there is no task.
func routingOf(c *rest.Call, task *records.Task) (any, error) {
	if task == nil {
		return nil, nil //nolint:nilnil // null in JSON
	}
	model, err := tasks.Model(c, *task)
	if err != nil {
		return nil, err
	}
	properties := map[string]any{
		"sid": model.Sid, "account_sid": model.AccountSid, "workspace_sid": model.WorkspaceSid,
		"workflow_sid": model.WorkflowSid, "workflow_name": model.WorkflowFriendlyName,
		"queue_sid": model.TaskQueueSid, "queue_name": model.TaskQueueFriendlyName,
		"task_channel_sid": model.TaskChannelSid, "task_channel_unique_name": model.TaskChannelUniqueName,
		"attributes": model.Attributes, "addons": model.Addons, "reason": model.Reason,
		"age": model.Age, "age_in_queue": rest.Seconds(task.CreatedAt, c.Now), "priority": model.Priority, "timeout": model.Timeout,
		"assignment_status": model.AssignmentStatus, "assignmentCounter": task.PendingSeq, "routing_target": model.RoutingTarget,
		"ignore_capacity": model.IgnoreCapacity, "date_created": task.CreatedAt.Unix(), "date_updated": tasks.UpdatedAt(*task).Unix(),
		"task_queue_entered_date": task.CreatedAt.Unix(), "virtual_start_time": task.QueuedAt.Unix(),
	}
	var reservation any
	if r := task.Reservation; r != nil {
		names, err := desk.AgentNames(c.Ctx, c.Desk, r.Agent)
		if err != nil {
			return nil, err
		}
		reservation = map[string]any{
			"sid": r.SID, "task_sid": task.SID, "worker_sid": conversation.AgentSID(r.Agent), "worker_name": names[r.Agent],
			"reservation_status": r.Status, "date_created": r.CreatedAt.Unix(),
		}
	}
	return map[string]any{"reservation": reservation, "properties": properties}, nil
}

func fetchInteraction(c *rest.Call) (any, error) {
	v, err := interactionNow(c)
	if err != nil {
		return nil, err
	}
	return renderInteraction(c, v)
}

func updateInteraction(c *rest.Call) (any, error) {
	v, err := interactionNow(c)
	if err != nil {
		return nil, err
	}
	if given := c.Optional("WebhookTtid"); given != nil {
		if _, err := records.SetDetails(c.Changing, c.Desk, v.SID, func(d *records.Details) { d.WebhookTTID = *given }); err != nil {
			return nil, err
		}
	}
	return renderInteraction(c, v)
}

func renderChannel(c *rest.Call, v *rest.View) rest.Whole[flexmodel.FlexV1InteractionChannel] {
	status := "active"
	switch {
	case v.Status != conversation.ConversationActive:
		status = "closed"
	case v.Draft:
		status = "setup"
	}
	base := channelURL(c, v.SID)
	return rest.All(flexmodel.FlexV1InteractionChannel{
		Sid: new(channelOf(v.SID)), InteractionSid: new(interactionSID(v.SID)), Type: new(string(v.Channel)), Status: new(status),
		Url: new(base), Links: rest.Links(base, "participants", "invites", "transfers"),
	})
}

func listChannels(c *rest.Call) (any, error) {
	v, err := interactionNow(c)
	if err != nil {
		return nil, err
	}
	return rest.Some(c, []*rest.View{v}, func(v *rest.View) any { return renderChannel(c, v) })
}

func fetchChannel(c *rest.Call) (any, error) {
	v, err := interactionNow(c)
	if err != nil {
		return nil, err
	}
	return renderChannel(c, v), nil
}

func updateChannel(c *rest.Call) (any, error) {
	v, err := interactionNow(c)
	if err != nil {
		return nil, err
	}
	status, err := c.Required("Status")
	if err != nil {
		return nil, err
	}
	if status != "closed" && status != "inactive" {
		return nil, c.Wrong("Status", "Status has to be closed or inactive")
	}
	var routing closingParameter
	if c.Form.Get("Routing") != "" {
		if err := c.Decode("Routing", &routing); err != nil {
			return nil, err
		}
	}
	if !slices.Contains([]string{"", "closed", "wrapup"}, routing.Status) {
		return nil, c.Wrong("Routing", "status in Routing has to be closed, which completes wrapups, or wrapup")
	}
	if err := tasks.Close(c, v, routing.Status == "closed"); err != nil {
		return nil, err
	}
	if v, err = c.ViewFor(v.SID); err != nil {
		return nil, err
	}
	return renderChannel(c, v), nil
}

func createInvite(c *rest.Call) (any, error) {
	v, err := interactionNow(c)
	if err != nil {
		return nil, err
	}
	var routing routingParameter
	if err := c.Decode("Routing", &routing); err != nil {
		return nil, err
	}
	if !v.Draft {
		if err := sameTask(c, v.Latest(), routing); err != nil {
			return nil, err
		}
	}
	o, err := readOpening(c, v.Channel, routing)
	if err != nil {
		return nil, err
	}
	if v.Draft {
		o.Start.Conversation, o.Start.Customer = v.SID, merged(v.Customer, o.Start.Customer)
		if err := tasks.Start(c, o, records.Details{}); err != nil {
			return nil, err
		}
	} else {
		to := conversation.Target{Agent: o.Start.Agent}
		if to.Agent == "" {
			to = conversation.Target{Queue: o.Start.Queue}
		}
		if _, err := c.Send(v.SID, conversation.MoveCommand{To: to, Meta: c.Command("move")}); err != nil {
			return nil, err
		}
	}
	if v, err = c.ViewFor(v.SID); err != nil {
		return nil, err
	}
	invite, err := renderInvite(c, v, v.Latest())
	return invite, err
}

// sameTask refuses an invite that would change the attributes or the priority of the task that it moves.
func sameTask(c *rest.Call, task *records.Task, given routingParameter) error {
	p := given.Properties
	if task == nil || p == nil {
		return nil
	}
	if p.Priority != nil && *p.Priority != task.Priority {
		return c.Wrong("Routing", "priority in Routing can't be changed: give it when the conversation starts")
	}
	attributes, err := tasks.Attributes(c, p.Attributes)
	if err != nil {
		return err
	}
	if len(attributes) > 0 && !reflect.DeepEqual(records.DecodeAttributes(attributes), records.DecodeAttributes(task.Attributes)) {
		return c.Wrong("Routing", "attributes in Routing can't be changed: give them when the conversation starts")
	}
	return nil
}

func renderInvite(c *rest.Call, v *rest.View, task *records.Task) (rest.Whole[flexmodel.FlexV1InteractionChannelInvite], error) {
	routing, err := routingOf(c, task)
	if err != nil {
		return rest.Whole[flexmodel.FlexV1InteractionChannelInvite]{}, err
	}
	sid := conversation.SameSID(conversation.PrefixInvite, v.SID) // the first invite's, as in the task's attributes
	if task != nil && task.SID != v.Tasks[0].SID {
		sid = conversation.SameSID(conversation.PrefixInvite, task.SID)
	}
	return rest.All(flexmodel.FlexV1InteractionChannelInvite{
		Sid: new(sid), InteractionSid: new(interactionSID(v.SID)), ChannelSid: new(channelOf(v.SID)), Routing: new(routing),
		Url: new(channelURL(c, v.SID, "Invites", sid)),
	}), nil
}

func listInvites(c *rest.Call) (any, error) {
	v, err := interactionNow(c)
	if err != nil {
		return nil, err
	}
	invites := []any{}
	for i := range v.Tasks {
		invite, err := renderInvite(c, v, &v.Tasks[i])
		if err != nil {
			return nil, err
		}
		invites = append(invites, invite)
	}
	return rest.Some(c, invites, func(invite any) any { return invite })
}
