package conversation

// AgentUnavailablePolicy says what a transfer to an unavailable agent does.
type AgentUnavailablePolicy string

// Refuse it (the default), let the task wait for that agent, or put it into the origin queue.
const (
	AgentUnavailableRefuse      AgentUnavailablePolicy = "refuse"
	AgentUnavailableWait        AgentUnavailablePolicy = "wait"
	AgentUnavailableOriginQueue AgentUnavailablePolicy = "origin_queue"
)

// UnansweredPolicy says where a task goes that the agent it was transferred to does not take.
type UnansweredPolicy string

// To the head of the origin queue (the default), or back to the sender while they still wrap up.
const (
	UnansweredOriginQueue UnansweredPolicy = "origin_queue"
	UnansweredSender      UnansweredPolicy = "sender"
)

// Settings are what an administrator decides. Durations are seconds.
type Settings struct {
	// MessagingTransfers and TransferNotes are the two switches; notes need transfers.
	MessagingTransfers bool `json:"messaging_transfers"`
	TransferNotes      bool `json:"transfer_notes"`
	// ReservationTimeout is how long an offer stands.
	ReservationTimeout int `json:"reservation_timeout"`
	// TaskTimeout is how long a task may wait, from entering its queue.
	TaskTimeout int `json:"task_timeout"`
	// WrapupTimeout is after how long a wrapup completes itself; 0: never.
	WrapupTimeout    int                    `json:"wrapup_timeout"`
	AgentUnavailable AgentUnavailablePolicy `json:"agent_unavailable"`
	Unanswered       UnansweredPolicy       `json:"unanswered"`
	// ReofferAfter is for how long an agent who declined a task, or let its offer expire, is not matched with it again,
	// even if there are no others; 0: they are matched at once. Direct offers are not bound by it.
	ReofferAfter int `json:"reoffer_after"`
	// TimeoutActivity makes an agent who lets an offer expire unavailable.
	TimeoutActivity bool `json:"timeout_activity"`
}

// DefaultSettings are the settings of a new desk: both switches off.
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

// FactsQuery is what the rules have to ask the desk before a start, a transfer or a move.
type FactsQuery struct {
	Conversation string      `json:"conversation"`
	Command      CommandName `json:"command"`
	// Agent and Queue name the target; Note is the SID of a note stored before, if the command names one.
	Agent string `json:"agent,omitempty"`
	Queue string `json:"queue,omitempty"`
	Note  string `json:"note,omitempty"`
	// Chain is the ID of the workflow's first run.
	Chain string `json:"chain,omitempty"`
}

// Facts is the desk's answer to a [FactsQuery]: facts, on which the rules decide.
type Facts struct {
	Settings Settings `json:"settings"`
	// Plugin names an installed and enabled plugin that transfers conversations itself, if there is one.
	Plugin string `json:"plugin,omitempty"`
	// AgentKnown and AgentAvailable speak of the question's agent.
	AgentKnown     bool `json:"agent_known,omitempty"`
	AgentAvailable bool `json:"agent_available,omitempty"`
	// QueueKnown and QueueMembers speak of the question's queue.
	QueueKnown   bool `json:"queue_known,omitempty"`
	QueueMembers int  `json:"queue_members,omitempty"`
	// ConversationKnown tells whether the desk has had the question's conversation before, from another workflow, and it is
	// closed. One that is open goes on under the workflow that asks: no other runs under its ID.
	ConversationKnown bool `json:"conversation_known,omitempty"`
	// NoteKnown tells whether the question's note is a note of this conversation.
	NoteKnown bool `json:"note_known,omitempty"`
}

// judgeSwitches refuses a transfer that the administrator has not turned on.
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

// judgeTarget refuses a target that the desk doesn't know or can't serve. What to choose instead is the command's to say.
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
