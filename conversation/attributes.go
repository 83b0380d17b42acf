package conversation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"
)

// firstAttributes returns the attributes of a conversation's first task: those of the start, and those that Baton
// sets, named as in Flex and TaskRouter. An attribute of the start with such a name is overwritten.
func firstAttributes(c StartCommand) Attributes {
	a := maps.Clone(c.Attributes)
	if a == nil {
		a = Attributes{}
	}
	a.set("customerName", c.Customer.Name)
	a.set("customerAddress", c.Customer.Address)
	a.set("customers", map[string]string{"name": c.Customer.Name, "address": c.Customer.Address})
	a.set("channelType", c.Channel)
	a.set("direction", "inbound")
	a.set("initiatedBy", "customer")
	a.set("flexInteractionSid", SameSID(PrefixInteraction, c.Conversation))
	a.set("flexInteractionChannelSid", SameSID(PrefixInteractionChannel, c.Conversation))
	a.set("flexChannelInviteSid", SameSID(PrefixInvite, c.Conversation))
	a.set("conversationSid", c.Conversation)
	type media struct {
		Type string `json:"type"`
		SID  string `json:"sid"`
	}
	a.set("conversations", struct {
		InitiatedBy          string  `json:"initiated_by"`
		ConversationID       string  `json:"conversation_id"`
		CommunicationChannel Channel `json:"communication_channel"`
		Media                []media `json:"media"`
	}{"customer", c.Conversation, c.Channel, []media{{"ChatTranscript", c.Conversation}}})
	return a
}

// transferAttributes returns the attributes of the sender's task, with those that a transfer adds.
func transferAttributes(s *State, from *Task, to Target) Attributes {
	a := maps.Clone(from.Attributes)
	if to.Queue != "" {
		a.set("transferTargetType", "queue")
		a.set("transferTargetSid", QueueSID(to.Queue))
		a.set("transferQueueName", to.Queue)
	} else {
		a.set("transferTargetType", "worker")
		a.set("transferTargetSid", AgentSID(to.Agent))
		delete(a, "transferQueueName")
	}
	agents := []string{}
	for _, t := range s.LiveTasks() {
		if t.Agent != "" && !t.Status.Waiting() {
			agents = append(agents, AgentSID(t.Agent))
		}
	}
	a.set("workerSidsInConversation", agents)
	return a
}

func (a Attributes) set(key string, value any) {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("the attribute %s can't be encoded: %v", key, err)) // not reached: values are strings and slices of them
	}
	a[key] = encoded
}

// hasNUL reports whether a key or a string anywhere in the JSON contains U+0000.
func hasNUL(decoder *json.Decoder) bool {
	for {
		token, err := decoder.Token()
		if err != nil {
			return false // end of the document
		}
		if text, ok := token.(string); ok && strings.ContainsRune(text, 0) {
			return true
		}
	}
}

// valid checks the attributes of a start.
func (a Attributes) valid() *Refusal {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	switch err := encoder.Encode(a); {
	case err != nil || utf8.RuneCount(bytes.TrimSpace(b.Bytes())) > MaxAttributes:
		return invalid("attributes", "start: attributes are JSON of at most %d characters", MaxAttributes)
	case hasNUL(json.NewDecoder(&b)):
		return invalid("attributes", "start: attributes have a character U+0000, which no database keeps: leave it out")
	}
	return nil
}
