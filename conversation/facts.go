package conversation

// AgentUnavailablePolicy is what happens to a transfer to an unavailable agent.
type AgentUnavailablePolicy string

// The transfer is refused (the default), the task waits for the agent, or the task goes to its origin queue.
const (
	AgentUnavailableRefuse      AgentUnavailablePolicy = "refuse"
	AgentUnavailableWait        AgentUnavailablePolicy = "wait"
	AgentUnavailableOriginQueue AgentUnavailablePolicy = "origin_queue"
)

// UnansweredPolicy is where a transferred task goes if the agent does not take it.
type UnansweredPolicy string

// The task goes to the head of its origin queue (the default), or back to the sender if they are still wrapping up.
const (
	UnansweredOriginQueue UnansweredPolicy = "origin_queue"
	UnansweredSender      UnansweredPolicy = "sender"
)

// Settings are the settings that an administrator can change. Durations are in seconds.
type Settings struct {
	// MessagingTransfers turns transfers on, TransferNotes turns notes on transfers on. Notes require transfers.
	MessagingTransfers bool `json:"messaging_transfers"`
	TransferNotes      bool `json:"transfer_notes"`
	// ReservationTimeout is how long an agent can answer an offer.
	ReservationTimeout int `json:"reservation_timeout"`
	// TaskTimeout is how long a task can wait after entering its queue.
	TaskTimeout int `json:"task_timeout"`
	// WrapupTimeout is after how long a wrapup is completed automatically. 0: never.
	WrapupTimeout    int                    `json:"wrapup_timeout"`
	AgentUnavailable AgentUnavailablePolicy `json:"agent_unavailable"`
	Unanswered       UnansweredPolicy       `json:"unanswered"`
	// ReofferAfter is how long an agent who declined a task, or let its offer expire, is not matched with it again,
	// even if there are no other agents. 0: no delay. Direct offers are not limited.
	ReofferAfter int `json:"reoffer_after"`
	// TimeoutActivity makes an agent unavailable when an offer to them expires.
	TimeoutActivity bool `json:"timeout_activity"`
}

// DefaultSettings returns the settings of a new desk. Transfers and notes are off.
func DefaultSettings() Settings {
	return Settings{
		ReservationTimeout: 120,
		TaskTimeout:        24 * 60 * 60,
		AgentUnavailable:   AgentUnavailableRefuse,
		Unanswered:         UnansweredOriginQueue,
		ReofferAfter:       60,
		TimeoutActivity:    true,
	}
}

// FactsQuery is the question to the desk before a start, a transfer or a move is decided.
type FactsQuery struct {
	Conversation string      `json:"conversation"`
	Command      CommandName `json:"command"`
	// Agent and Queue are the target. Note is the SID of a stored note, if the command names one.
	Agent string `json:"agent,omitempty"`
	Queue string `json:"queue,omitempty"`
	Note  string `json:"note,omitempty"`
	// Chain is the ID of the workflow's first run.
	Chain string `json:"chain,omitempty"`
}

// Facts is the desk's answer to a [FactsQuery]. The rules decide based on it.
type Facts struct {
	Settings Settings `json:"settings"`
	// Plugin is the name of an installed and enabled plugin that makes transfers itself, "" if there is none.
	Plugin string `json:"plugin,omitempty"`
	// AgentKnown and AgentAvailable are about the agent in the query.
	AgentKnown     bool `json:"agent_known,omitempty"`
	AgentAvailable bool `json:"agent_available,omitempty"`
	// QueueKnown and QueueMembers are about the queue in the query.
	QueueKnown   bool `json:"queue_known,omitempty"`
	QueueMembers int  `json:"queue_members,omitempty"`
	// ConversationKnown is true if the desk has the conversation from another workflow and it is closed. An open
	// one continues under the workflow that asks, because no other workflow with its ID runs.
	ConversationKnown bool `json:"conversation_known,omitempty"`
	// NoteKnown is true if the note in the query is a note of this conversation.
	NoteKnown bool `json:"note_known,omitempty"`
}

// judgeSwitches refuses a transfer or a note that the administrator has not turned on, or that a plugin conflicts
// with.
func (v *Facts) judgeSwitches(withNote bool) *Refusal {
	switch {
	case !v.Settings.MessagingTransfers:
		return Refuse(CodeMessagingTransfersOff, Details{},
			"messaging transfers are off: an administrator has to turn them on in the settings first")
	case withNote && !v.Settings.TransferNotes:
		return Refuse(CodeTransferNotesOff, Details{},
			"notes on transfers are off: transfer without a note, or have an administrator turn transfer notes on")
	case v.Plugin != "":
		return Refuse(CodePluginConflict, Details{Plugin: v.Plugin},
			"the plugin %s transfers conversations itself: an administrator has to disable it before Baton can", v.Plugin)
	}
	return nil
}

// judgeTarget refuses a target that the desk does not know or cannot serve. The parameter choose is the command's
// advice on what to choose instead.
func (v *Facts) judgeTarget(to Target, choose string) *Refusal {
	switch {
	case to.Agent != "" && !v.AgentKnown:
		return Refuse(CodeUnknownAgent, Details{Agent: to.Agent},
			"there is no agent named %q: check the spelling, or have an administrator add the agent at the desk", to.Agent)
	case to.Agent != "" && !v.AgentAvailable && v.Settings.AgentUnavailable == AgentUnavailableRefuse:
		return Refuse(CodeAgentUnavailable, Details{Agent: to.Agent},
			"%s is not available: %s", to.Agent, choose)
	case to.Queue != "" && !v.QueueKnown:
		return Refuse(CodeUnknownQueue, Details{Queue: to.Queue},
			"there is no queue named %q: check the spelling, or have an administrator add the queue at the desk", to.Queue)
	case to.Queue != "" && v.QueueMembers == 0:
		return Refuse(CodeQueueEmpty, Details{Queue: to.Queue},
			"no agent works on the queue %q: choose another target, or have an administrator add agents to it", to.Queue)
	}
	return nil
}
