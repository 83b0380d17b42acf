package httpapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/baton-transfers/baton/internal/jsonkeys"
)

// unsupported is a parameter that Twilio documents for a route and that Baton does not support.
type unsupported struct {
	name string
	// only is the value that describes what Baton does in any case; "" if there is none.
	only string
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

// webhookHeader requests the webhooks of conversations, which Baton does not send.
const webhookHeader = "X-Twilio-Webhook-Enabled"

// supported refuses a request for something that Baton does not do. Parameters without a value count as not given.
// Names that Twilio does not document are ignored, as by Twilio.
func (c *call) supported(query url.Values) error {
	given := func(name string) []string { return append(query[name], c.form[name]...) }
	if c.r.Method != http.MethodPost || c.body != nil {
		given = func(name string) []string { return query[name] }
	}
	for _, refused := range c.route.refused {
		for _, value := range given(refused.name) {
			switch {
			case value == "" || refused.only != "" && strings.EqualFold(value, refused.only):
			case refused.only != "":
				return c.wrong(refused.name, "%s can only be %s: leave it out", refused.name, refused.only)
			default:
				return c.wrong(refused.name, "%s is not supported: leave it out", refused.name)
			}
		}
	}
	if c.r.Method == http.MethodPost {
		for _, name := range c.route.takes {
			if name = strings.TrimSuffix(name, "*"); query.Has(name) {
				return c.wrong(name, "%s is in the query of the URL: send it in the body", name)
			}
		}
	}
	if c.route.product == conversations && c.r.Method != http.MethodGet && strings.EqualFold(c.r.Header.Get(webhookHeader), "true") {
		return c.wrong(webhookHeader, "%s can only be false, for there are no webhooks of conversations: leave it out", webhookHeader)
	}
	return nil
}

// unreadKeys refuses a JSON document with keys that into does not read. The document is the parameter's value, or
// the body if parameter is "".
func (c *call) unreadKeys(parameter string, document []byte, into any) error {
	unread := jsonkeys.Unread(document, into)
	switch {
	case len(unread) == 0:
		return nil
	case parameter == "":
		return c.wrong(shortened(unread[0]), "%s is not supported: leave it out", short(unread[0]))
	}
	return c.wrong(parameter, "%s in %s is not supported: leave it out", short(unread[0]), parameter)
}
