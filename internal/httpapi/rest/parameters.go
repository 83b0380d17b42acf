package rest

import (
	"slices"
	"strings"
)

// parameters maps fields of the desk and of the rules to the API's parameters, in the order in which a call's own
// parameters are searched. Fields that are not listed have the same name in the API, except for its spelling:
// friendly_name is FriendlyName.
var parameters = map[string][]string{
	"activity":                {"ActivitySid", "WorkerActivitySid", "TimeoutActivitySid", "DefaultActivitySid"},
	"address":                 {"MessagingBinding.Address", "MediaProperties"},
	"agent":                   {"WorkerSid", "RoutingTarget", "RoutingProperties", "Routing", "to", "Author"},
	"attributes":              {"Attributes", "Routing", "Channel", "EvaluateTaskAttributes", "EvaluateWorkerAttributes"},
	"author":                  {"Author", "Summary"},
	"channel":                 {"TaskChannel", "Channel"},
	"command_id":              {idempotencyHeader},
	"conversation":            {"Channel", "InteractionSid"},
	"customer.address":        {"Attributes", "Routing", "Channel"},
	"customer.name":           {"Attributes", "Routing", "Channel"},
	"disposition":             {"Reason"},
	"from":                    {"from", "Author"},
	"identity":                {"Identity", "MediaProperties", "Author"},
	"interaction_context_sid": {"InteractionContextSid"},
	"media_channel_sid":       {"Channel"},
	"messaging_transfers":     {"enabled"},
	"mode":                    {"type"},
	"name":                    {"FriendlyName"},
	"note":                    {"note_sid", "Summary"},
	"participant":             {"Identity", "MessagingBinding.Address"},
	"presence":                {"ActivitySid"},
	"priority":                {"Priority", "Routing"},
	"proxy_address":           {"MessagingBinding.ProxyAddress", "MediaProperties"},
	"queue":                   {"TaskQueueSid", "RoutingTarget", "Routing", "to"},
	"reason":                  {"Reason"},
	"reservation_timeout":     {"TaskReservationTimeout"},
	"task":                    {"TaskSid"},
	"text":                    {"Body"},
	"to":                      {"to"},
	"to.agent":                {"to", "RoutingTarget", "Routing", "RoutingProperties"},
	"to.queue":                {"to", "RoutingTarget", "Routing"},
	"to.workflow":             {"to", "RoutingTarget", "Routing"},
	"transfer_notes":          {"transfer_notes_enabled"},
	"webhook_ttid":            {"WebhookTtid"},
	"workflow":                {"WorkflowSid", "RoutingTarget", "Routing"},
}

// idempotencyHeader holds a token that makes a request safe to repeat.
const idempotencyHeader = "I-Twilio-Idempotency-Token"

// parameterOf returns the call's parameter that holds a field of the desk or of the rules; "" if the call has none:
// the field is in the path, or does not come from the caller.
func (r Route) parameterOf(field string) string {
	if field == "" {
		return ""
	}
	for _, name := range append(slices.Clone(parameters[field]), capitals(field), field) {
		if name == idempotencyHeader || slices.Contains(r.Takes, name) || slices.Contains(r.Takes, name+"*") {
			return name
		}
	}
	return ""
}

// containers lists the parameters that hold JSON, of which a refused field is a part.
var containers = []string{"Attributes", "Channel", "MediaProperties", "Routing", "RoutingProperties"}

// calls returns the name in a sentence of a field that is in that parameter.
func calls(parameter, field string) string {
	if !slices.Contains(containers, parameter) || capitals(field) == parameter {
		return parameter
	}
	return parameter + " (" + strings.NewReplacer("_", " ", ".", " ").Replace(field) + ")"
}

// capitals turns friendly_name into FriendlyName.
func capitals(field string) string {
	var name strings.Builder
	for word := range strings.SplitSeq(field, "_") {
		name.WriteString(strings.ToUpper(word[:min(1, len(word))]) + word[min(1, len(word)):])
	}
	return name.String()
}
