package httpapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"

	flexmodel "github.com/twilio/twilio-go/rest/flex/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

const (
	interactionPath = "/v1/Interactions/{interaction}"
	channelPath     = interactionPath + "/Channels/{channel}"
)

func interactionRoutes() []route {
	return []route{
		post(flex, "/v1/Interactions", services, http.StatusOK).says("Starts a conversation, or creates one that a later invite starts.").
			but("Without Routing nothing is routed until an invite is created. `routing.properties` takes workspace_sid, workflow_sid, queue_sid, worker_sid, task_channel_unique_name (the channel's type, or chat), priority and attributes; "+
				"`channel` takes type, initiated_by, properties.media_channel_sid and one participant with name and address. Other keys are refused. The settings' timeouts apply.").
			with("Channel*", "Routing", "InteractionContextSid", "WebhookTtid").answers(flexmodel.FlexV1Interaction{}).by((*call).createInteraction),
		get(flex, interactionPath, everyone).says("Fetches an interaction.").answers(flexmodel.FlexV1Interaction{}).by((*call).fetchInteraction),
		post(flex, interactionPath, services, http.StatusOK).says("Changes an interaction's WebhookTtid.").with("WebhookTtid").
			answers(flexmodel.FlexV1Interaction{}).by((*call).updateInteraction),
		get(flex, interactionPath+"/Channels", everyone).says("Lists the interaction's channels: there is one.").
			lists("channels", flexmodel.FlexV1InteractionChannel{}).by((*call).listChannels),
		get(flex, channelPath, everyone).says("Fetches the interaction's channel.").answers(flexmodel.FlexV1InteractionChannel{}).by((*call).fetchChannel),
		post(flex, channelPath, everyone, http.StatusOK).says("Ends the customer's side: waiting tasks are canceled, and the agent's task is wrapping.").
			but("`inactive` and `closed` do the same. With Routing `{\"status\":\"closed\"}` wrap-ups are completed too; the default is `wrapup`.").
			with("Status*", "Routing").answers(flexmodel.FlexV1InteractionChannel{}).by((*call).updateChannel),
		post(flex, channelPath+"/Invites", staff, http.StatusOK).says("Starts an interaction that was created without Routing, or moves its waiting task.").
			but("Refused if an agent has the conversation: transfer it instead. A waiting task keeps its priority and attributes.").
			with("Routing*").answers(flexmodel.FlexV1InteractionChannelInvite{}).by((*call).createInvite),
		get(flex, channelPath+"/Invites", everyone).says("Lists the invites: one for each task.").
			lists("invites", flexmodel.FlexV1InteractionChannelInvite{}).by((*call).listInvites),
	}
}

// interaction returns the SID of the conversation that the path means.
func (c *call) interaction() (string, error) {
	digits, err := c.path("interaction", conversation.PrefixInteraction, "interaction")
	if err != nil {
		return "", err
	}
	if given := c.r.PathValue("channel"); given != "" {
		channel, err := c.path("channel", conversation.PrefixInteractionChannel, "channel")
		if err != nil || channel != digits {
			return "", c.lost("channel", given)
		}
	}
	return conversation.PrefixConversation + digits, nil
}

// interactionNow returns the present state of the conversation that the path means.
func (c *call) interactionNow() (*view, error) {
	sid, err := c.interaction()
	if err != nil {
		return nil, err
	}
	v, err := c.view(sid)
	return v, c.notThere(err, "interaction", c.r.PathValue("interaction"))
}

// notThere turns "no such conversation" into a 404 that names the resource in the path.
func (c *call) notThere(err error, what, sid string) error {
	if code := conversation.CodeOf(err); code == conversation.CodeUnknownConversation || code == conversation.CodeConversationClosed {
		return c.lost(what, sid)
	}
	return err
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

// decode reads a form parameter that is JSON. It refuses keys that are not supported.
func (c *call) decode(field string, into any) error {
	value, err := c.required(field)
	if err != nil {
		return err
	}
	var quoted string
	if json.Unmarshal([]byte(value), &quoted) == nil { // twilio-go encodes a string that is already JSON a second time
		value = quoted
	}
	if err := json.Unmarshal([]byte(value), into); err != nil {
		key, sentence := mistake(field, err)
		if key != "" {
			sentence = field + ": " + sentence
		}
		return c.wrong(field, "%s", sentence)
	}
	return c.unreadKeys(field, []byte(value), into)
}

// attributes reads attributes, which are a JSON object or a string that contains one.
func (c *call) attributes(given json.RawMessage) (conversation.Attributes, error) {
	attributes := conversation.Attributes{}
	if len(given) == 0 || string(given) == "null" {
		return attributes, nil
	}
	var quoted string
	if json.Unmarshal(given, &quoted) == nil {
		given = json.RawMessage(quoted)
		if quoted == "" {
			return attributes, nil
		}
	}
	if err := json.Unmarshal(given, &attributes); err != nil || attributes == nil {
		return nil, c.wrong("attributes", `attributes have to be a JSON object, as in {"customerName":"Crystal Minh"}`)
	}
	return attributes, nil
}

// opening is a conversation that is about to start.
type opening struct {
	start    conversation.StartCommand
	workflow string
}

// messagingTaskChannel is the task channel that Flex uses for every messaging channel. In Baton each channel type
// has a task channel of its own, with its own capacity.
const messagingTaskChannel = "chat"

// open reads the routing of a new conversation.
func (c *call) open(channel conversation.Channel, given routingParameter) (opening, error) {
	o := opening{start: conversation.StartCommand{Channel: channel}}
	p := given.Properties
	if p == nil {
		return o, c.wrong("Routing", `Routing needs properties, as in {"properties":{"queue_sid":"WQ…"}}`)
	}
	if p.WorkspaceSID != "" && p.WorkspaceSID != c.workspaceSID() {
		return o, c.lost("workspace", p.WorkspaceSID)
	}
	if !slices.Contains([]string{"", string(channel), messagingTaskChannel}, p.TaskChannelUniqueName) {
		return o, c.wrong("Routing", "task_channel_unique_name can only be the type of the channel, %s, or %s: leave it out", channel, messagingTaskChannel)
	}
	var err error
	if o.start.Attributes, err = c.attributes(p.Attributes); err != nil {
		return o, err
	}
	if o.start.Queue, o.start.Priority, err = c.routed(p.QueueSID, p.WorkflowSID, o.start.Attributes); err != nil {
		return o, err
	}
	o.workflow = p.WorkflowSID
	if p.Priority != nil {
		o.start.Priority = *p.Priority
	}
	if p.WorkerSID != "" {
		if o.start.Agent, err = c.agentOf("worker_sid", p.WorkerSID); err != nil {
			return o, err
		}
	}
	o.start.Customer = customerOf(o.start.Attributes)
	return o, nil
}

// routed returns the given queue, else the queue and the priority that the workflow chooses.
func (c *call) routed(queueSID, workflowSID string, attributes conversation.Attributes) (string, int, error) {
	if workflowSID != "" {
		if err := c.workflowThere(workflowSID); err != nil {
			return "", 0, err
		}
	}
	if queueSID != "" {
		queue, err := c.queueOf("queue_sid", queueSID)
		return queue, 0, err
	}
	route, err := c.desk.Route(c.ctx, workflowSID, desk.DecodeAttributes(attributes))
	return route.Queue, route.Priority, err
}

// agentOf returns the name of the agent whose SID the parameter holds.
func (c *call) agentOf(field, given string) (string, error) {
	if !isSID(conversation.PrefixAgent, given) {
		return "", c.noSID(field, conversation.PrefixAgent)
	}
	return c.desk.AgentName(c.ctx, conversation.PrefixAgent+strings.ToLower(given[2:]))
}

// queueOf returns the name of the queue whose SID the parameter holds.
func (c *call) queueOf(field, given string) (string, error) {
	if !isSID(conversation.PrefixQueue, given) {
		return "", c.noSID(field, conversation.PrefixQueue)
	}
	return c.desk.QueueName(c.ctx, conversation.PrefixQueue+strings.ToLower(given[2:]))
}

// workflowThere refuses the SID of a workflow that does not exist.
func (c *call) workflowThere(given string) error {
	workflows, err := c.desk.Workflows(c.ctx)
	if err == nil && !slices.ContainsFunc(workflows, func(w desk.Workflow) bool { return sameDigits(given, w.SID) }) {
		return c.lost("workflow", given)
	}
	return err
}

// customerOf reads the customer from the task attributes that Flex and its samples use.
func customerOf(attributes conversation.Attributes) conversation.Customer {
	find := func(names ...string) string {
		for _, name := range names {
			var value string
			if json.Unmarshal(attributes[name], &value) == nil && value != "" {
				return value
			}
		}
		return ""
	}
	return conversation.Customer{Name: find("customerName", "name", "from"), Address: find("customerAddress", "address", "from")}
}

func (c *call) createInteraction() (any, error) {
	var channel channelParameter
	if err := c.decode("Channel", &channel); err != nil {
		return nil, err
	}
	if !slices.Contains(conversation.Channels(), channel.Type) {
		return nil, c.wrong("Channel", "There is no channel of the type %s here: use web, sms, whatsapp, messenger, chat or email", short(string(channel.Type)))
	}
	if err := c.channelAsGiven(channel); err != nil {
		return nil, err
	}
	sid, err := c.mediaChannel(channel)
	if err != nil {
		return nil, err
	}
	details := desk.Details{ContextSID: c.form.Get("InteractionContextSid"), WebhookTTID: c.form.Get("WebhookTtid")}
	customer, err := c.customer(sid, channel)
	if err != nil {
		return nil, err
	}
	if c.form.Get("Routing") == "" {
		return c.openInteraction(desk.Draft{SID: sid, Channel: channel.Type, Customer: customer, Details: details})
	}
	var routing routingParameter
	if err := c.decode("Routing", &routing); err != nil {
		return nil, err
	}
	o, err := c.open(channel.Type, routing)
	if err != nil {
		return nil, err
	}
	o.start.Conversation = sid
	o.start.Customer = merged(customer, o.start.Customer)
	if err := c.start(o, details); err != nil {
		return nil, err
	}
	return c.interactionOf(sid)
}

// channelAsGiven refuses values of a channel that are not supported.
func (c *call) channelAsGiven(channel channelParameter) error {
	switch {
	case !slices.Contains([]string{"", "customer", "agent", "api"}, channel.InitiatedBy):
		return c.wrong("Channel", "initiated_by has to be customer, agent or api")
	case channel.Properties.Type != "" && channel.Properties.Type != channel.Type:
		return c.wrong("Channel", "properties.type can only be the type of the channel, %s: leave it out", channel.Type)
	case len(channel.Participants) > 1:
		return c.wrong("Channel", "participants can only have one entry, the customer: add others to the interaction later")
	}
	return nil
}

// openInteraction opens an interaction that an invite starts later. Its conversation may be open already.
func (c *call) openInteraction(draft desk.Draft) (any, error) {
	if _, err := c.desk.OpenDraft(c.ctx, draft); err != nil {
		return nil, err
	}
	v, err := c.viewFor(draft.SID)
	if err != nil {
		return nil, err
	}
	if !v.draft {
		return nil, told(conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: "conversation"},
			"the conversation %s was started before: carry on with its interaction", draft.SID), conflict, c.route)
	}
	if err := c.desk.SetDraft(c.ctx, draft.SID, draft.Channel, merged(draft.Customer, v.customer)); err != nil {
		return nil, err
	}
	if err := c.detail(draft.SID, draft.Details); err != nil {
		return nil, err
	}
	return c.interactionOf(draft.SID)
}

// detail adds the given details to those that are stored for a conversation. Empty ones change nothing.
func (c *call) detail(sid string, given desk.Details) error {
	_, err := c.desk.SetDetails(c.ctx, sid, func(d *desk.Details) {
		for into, value := range map[*string]string{&d.Workflow: given.Workflow, &d.ContextSID: given.ContextSID, &d.WebhookTTID: given.WebhookTTID} {
			if value != "" {
				*into = value
			}
		}
		if d.StartedBy == "" {
			d.StartedBy = given.StartedBy
		}
	})
	return err
}

// mediaChannel returns the conversation that the channel names, or the SID of a new one.
func (c *call) mediaChannel(channel channelParameter) (string, error) {
	given := channel.Properties.MediaChannelSID
	switch {
	case given == "":
		return c.newSID(conversation.PrefixConversation), nil
	case !conversation.IsSID(conversation.PrefixConversation, given):
		return "", c.wrong("Channel", "media_channel_sid has to be the SID of a conversation: CH and 32 lower-case hex digits")
	}
	if _, err := c.desk.Conversation(c.ctx, given); err != nil {
		return "", c.notThere(err, "conversation", given)
	}
	return given, nil
}

// customer reads the customer from the channel's participants, then from those of a conversation that was opened
// before.
func (c *call) customer(sid string, channel channelParameter) (conversation.Customer, error) {
	var customer conversation.Customer
	for _, p := range channel.Participants {
		customer = merged(customer, conversation.Customer{Name: p.Name, Address: p.Address})
	}
	added, err := c.desk.Participants(c.ctx, sid)
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

// start starts a conversation, and waits until it has begun. It checks and stores the details before: an agent may
// already have to answer a conversation that has begun.
func (c *call) start(o opening, details desk.Details) error {
	sid := o.start.Conversation
	details.Workflow = o.workflow
	if c.token() != "" {
		details.StartedBy = c.derived("", "start").String()
	}
	if err := c.detail(sid, details); err != nil {
		return err
	}
	if _, err := c.conversations.Start(c.ctx, o.start); err != nil {
		if own, other := c.startedBefore(err, sid, details.StartedBy); !own {
			return other
		}
	}
	record, err := c.conversations.Await(c.ctx, sid, func(conversation.Record) bool { return true })
	if err != nil {
		return err
	}
	// A client that has the answer may write and leave notes at once. The desk takes those.
	c.settleConversation(sid, record.Revision)
	for _, task := range record.Tasks {
		c.seen.note(task.SID, sid)
	}
	return nil
}

// startedBefore reports whether a start was refused because an earlier attempt of this request started the
// conversation. If not, the error is the answer.
func (c *call) startedBefore(refused error, sid, request string) (bool, error) {
	refusal, coded := asRefusal(refused)
	if !coded || refusal.Details.Field != "conversation" {
		return false, refused
	}
	details, err := c.desk.Details(c.ctx, sid)
	if err != nil {
		return false, err
	}
	if request != "" && details.StartedBy == request {
		return true, nil
	}
	return false, told(refusal, conflict, c.route)
}

func (c *call) interactionOf(sid string) (any, error) {
	v, err := c.viewFor(sid)
	if err != nil {
		return nil, err
	}
	return c.renderInteraction(v)
}

func (c *call) renderInteraction(v *view) (any, error) {
	details, err := c.details(v)
	if err != nil {
		return nil, err
	}
	routing, err := c.routingOf(v.latest())
	if err != nil {
		return nil, err
	}
	base := c.url("v1", "Interactions", interactionSID(v.sid))
	return all(flexmodel.FlexV1Interaction{
		Sid: new(interactionSID(v.sid)), Channel: object(map[string]any{"type": v.channel, "sid": channelOf(v.sid)}), Routing: new(routing),
		Url: new(base), Links: links(base, "channels"), InteractionContextSid: text(details.ContextSID), WebhookTtid: text(details.WebhookTTID),
	}), nil
}

func interactionSID(sid string) string {
	return conversation.SameSID(conversation.PrefixInteraction, sid)
}

func channelOf(sid string) string {
	return conversation.SameSID(conversation.PrefixInteractionChannel, sid)
}

func (c *call) channelURL(sid string, parts ...string) string {
	return c.url(append([]string{"v1", "Interactions", interactionSID(sid), "Channels", channelOf(sid)}, parts...)...)
}

// routingOf returns the routing of a task in the form of Flex; nil if there is no task.
func (c *call) routingOf(task *desk.Task) (any, error) {
	if task == nil {
		return nil, nil //nolint:nilnil // null in JSON
	}
	model, err := c.taskModel(*task)
	if err != nil {
		return nil, err
	}
	properties := map[string]any{
		"sid": model.Sid, "account_sid": model.AccountSid, "workspace_sid": model.WorkspaceSid,
		"workflow_sid": model.WorkflowSid, "workflow_name": model.WorkflowFriendlyName,
		"queue_sid": model.TaskQueueSid, "queue_name": model.TaskQueueFriendlyName,
		"task_channel_sid": model.TaskChannelSid, "task_channel_unique_name": model.TaskChannelUniqueName,
		"attributes": model.Attributes, "addons": model.Addons, "reason": model.Reason,
		"age": model.Age, "age_in_queue": seconds(task.CreatedAt, c.now), "priority": model.Priority, "timeout": model.Timeout,
		"assignment_status": model.AssignmentStatus, "assignmentCounter": task.PendingSeq, "routing_target": model.RoutingTarget,
		"ignore_capacity": model.IgnoreCapacity, "date_created": task.CreatedAt.Unix(), "date_updated": updatedAt(*task).Unix(),
		"task_queue_entered_date": task.CreatedAt.Unix(), "virtual_start_time": task.QueuedAt.Unix(),
	}
	var reservation any
	if r := task.Reservation; r != nil {
		names, err := c.desk.AgentNames(c.ctx, r.Agent)
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

func (c *call) fetchInteraction() (any, error) {
	v, err := c.interactionNow()
	if err != nil {
		return nil, err
	}
	return c.renderInteraction(v)
}

func (c *call) updateInteraction() (any, error) {
	v, err := c.interactionNow()
	if err != nil {
		return nil, err
	}
	if given := c.optional("WebhookTtid"); given != nil {
		if _, err := c.desk.SetDetails(c.changing, v.sid, func(d *desk.Details) { d.WebhookTTID = *given }); err != nil {
			return nil, err
		}
	}
	return c.renderInteraction(v)
}

func (c *call) renderChannel(v *view) whole[flexmodel.FlexV1InteractionChannel] {
	status := "active"
	switch {
	case v.status != conversation.ConversationActive:
		status = "closed"
	case v.draft:
		status = "setup"
	}
	base := c.channelURL(v.sid)
	return all(flexmodel.FlexV1InteractionChannel{
		Sid: new(channelOf(v.sid)), InteractionSid: new(interactionSID(v.sid)), Type: new(string(v.channel)), Status: new(status),
		Url: new(base), Links: links(base, "participants", "invites", "transfers"),
	})
}

func (c *call) listChannels() (any, error) {
	v, err := c.interactionNow()
	if err != nil {
		return nil, err
	}
	return some(c, []*view{v}, c.renderChannel)
}

func (c *call) fetchChannel() (any, error) {
	v, err := c.interactionNow()
	if err != nil {
		return nil, err
	}
	return c.renderChannel(v), nil
}

func (c *call) updateChannel() (any, error) {
	v, err := c.interactionNow()
	if err != nil {
		return nil, err
	}
	status, err := c.required("Status")
	if err != nil {
		return nil, err
	}
	if status != "closed" && status != "inactive" {
		return nil, c.wrong("Status", "Status has to be closed or inactive")
	}
	var routing closingParameter
	if c.form.Get("Routing") != "" {
		if err := c.decode("Routing", &routing); err != nil {
			return nil, err
		}
	}
	if !slices.Contains([]string{"", "closed", "wrapup"}, routing.Status) {
		return nil, c.wrong("Routing", "status in Routing has to be closed, which completes wrapups, or wrapup")
	}
	if err := c.closeConversation(v, routing.Status == "closed"); err != nil {
		return nil, err
	}
	if v, err = c.viewFor(v.sid); err != nil {
		return nil, err
	}
	return c.renderChannel(v), nil
}

// mayClose refuses an agent who does not have the conversation, or who would complete the wrap-ups of others.
func (c *call) mayClose(v *view, wrapups bool) error {
	own := c.caller.agent()
	if own == "" {
		return nil
	}
	if !slices.ContainsFunc(v.tasks, func(t desk.Task) bool { return t.Agent == own && t.Status == conversation.TaskAssigned }) {
		return c.forbid("%s doesn't have this conversation, so this key may not end it", own)
	}
	for _, task := range v.tasks {
		if wrapups && task.Status == conversation.TaskWrapping {
			if err := c.actAs(task.Agent); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayChange refuses an agent who does not have the conversation.
func (c *call) mayChange(v *view) error {
	if own := c.caller.agent(); own != "" && !slices.ContainsFunc(v.tasks, func(t desk.Task) bool {
		return t.Agent == own && t.Status == conversation.TaskAssigned
	}) {
		return c.forbid("%s doesn't have this conversation, so this key may neither change nor end it", own)
	}
	return nil
}

// closeConversation ends the customer's side. With wrapups set, it completes the wrap-ups too.
func (c *call) closeConversation(v *view, wrapups bool) error {
	if err := c.mayChange(v); err != nil {
		return err
	}
	if own := c.caller.agent(); own != "" && wrapups && slices.ContainsFunc(v.tasks, func(t desk.Task) bool {
		return t.Agent != own && t.Status == conversation.TaskWrapping
	}) {
		return c.forbid("This key acts as %s only, and others still wrap up the conversation: close it without Routing", own)
	}
	if v.draft {
		return c.desk.CloseDraft(c.ctx, v.sid)
	}
	if v.status == conversation.ConversationActive {
		if _, err := c.send(v.sid, conversation.CloseCommand{Meta: c.command("close")}); err != nil {
			return err
		}
	}
	if !wrapups {
		return nil
	}
	for _, task := range v.tasks {
		if task.Status != conversation.TaskAssigned && task.Status != conversation.TaskWrapping {
			continue
		}
		if _, err := c.send(v.sid, conversation.WrapupCommand{Agent: task.Agent, Task: task.SID, Meta: c.command("wrapup " + task.SID)}); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) createInvite() (any, error) {
	v, err := c.interactionNow()
	if err != nil {
		return nil, err
	}
	var routing routingParameter
	if err := c.decode("Routing", &routing); err != nil {
		return nil, err
	}
	if !v.draft {
		if err := c.sameTask(v.latest(), routing); err != nil {
			return nil, err
		}
	}
	o, err := c.open(v.channel, routing)
	if err != nil {
		return nil, err
	}
	if v.draft {
		o.start.Conversation, o.start.Customer = v.sid, merged(v.customer, o.start.Customer)
		if err := c.start(o, desk.Details{}); err != nil {
			return nil, err
		}
	} else {
		to := conversation.Target{Agent: o.start.Agent}
		if to.Agent == "" {
			to = conversation.Target{Queue: o.start.Queue}
		}
		if _, err := c.send(v.sid, conversation.MoveCommand{To: to, Meta: c.command("move")}); err != nil {
			return nil, err
		}
	}
	if v, err = c.viewFor(v.sid); err != nil {
		return nil, err
	}
	invite, err := c.renderInvite(v, v.latest())
	return invite, err
}

// sameTask refuses an invite that would change the attributes or the priority of the task that it moves.
func (c *call) sameTask(task *desk.Task, given routingParameter) error {
	p := given.Properties
	if task == nil || p == nil {
		return nil
	}
	if p.Priority != nil && *p.Priority != task.Priority {
		return c.wrong("Routing", "priority in Routing can't be changed: give it when the conversation starts")
	}
	attributes, err := c.attributes(p.Attributes)
	if err != nil {
		return err
	}
	if len(attributes) > 0 && !reflect.DeepEqual(desk.DecodeAttributes(attributes), desk.DecodeAttributes(task.Attributes)) {
		return c.wrong("Routing", "attributes in Routing can't be changed: give them when the conversation starts")
	}
	return nil
}

func (c *call) renderInvite(v *view, task *desk.Task) (whole[flexmodel.FlexV1InteractionChannelInvite], error) {
	routing, err := c.routingOf(task)
	if err != nil {
		return whole[flexmodel.FlexV1InteractionChannelInvite]{}, err
	}
	sid := conversation.SameSID(conversation.PrefixInvite, v.sid) // the first invite's, as in the task's attributes
	if task != nil && task.SID != v.tasks[0].SID {
		sid = conversation.SameSID(conversation.PrefixInvite, task.SID)
	}
	return all(flexmodel.FlexV1InteractionChannelInvite{
		Sid: new(sid), InteractionSid: new(interactionSID(v.sid)), ChannelSid: new(channelOf(v.sid)), Routing: new(routing),
		Url: new(c.channelURL(v.sid, "Invites", sid)),
	}), nil
}

func (c *call) listInvites() (any, error) {
	v, err := c.interactionNow()
	if err != nil {
		return nil, err
	}
	invites := []any{}
	for i := range v.tasks {
		invite, err := c.renderInvite(v, &v.tasks[i])
		if err != nil {
			return nil, err
		}
		invites = append(invites, invite)
	}
	return some(c, invites, func(invite any) any { return invite })
}
