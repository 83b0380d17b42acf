package conversation

import "slices"

// What a state keeps of tasks that have ended, so that a conversation of however many transfers fits into a
// payload, of which Temporal's server takes two megabytes. The desk keeps everything. Like the sizes in size.go
// these decide what workflows do: another number is a change to be made behind workflow.GetVersion.
const (
	// tasksKept is how many of the newest tasks stay, with the transfers between them.
	tasksKept = 600
	// attributesKept is how many of the newest tasks keep their attributes, attributeBytesKept how much of them.
	attributesKept     = 100
	attributeBytesKept = 256 << 10
)

// Forgotten counts what a conversation has had and its state has no more.
type Forgotten struct {
	Tasks     int `json:"tasks,omitempty"`
	Transfers int `json:"transfers,omitempty"`
}

// HadTasks is how many tasks the conversation has had, the forgotten ones with them.
func (s *State) HadTasks() int { return s.Forgotten.Tasks + len(s.Tasks) }

// HadTransfers is how many transfers the conversation has had, the forgotten ones with them.
func (s *State) HadTransfers() int { return s.Forgotten.Transfers + len(s.Transfers) }

// Forget drops what ended long ago. What the events speak of, which the desk hasn't been told yet, stays, and
// what the remembered commands came to.
func (s *State) Forget(untold []Event) {
	stays := map[string]bool{}
	for _, e := range untold {
		stays[e.Task], stays[e.Transfer] = true, true
	}
	for _, r := range s.Remembered {
		stays[r.Task], stays[r.Transfer] = true, true
	}
	for _, transfer := range s.Transfers {
		if transfer.Status == TransferActive || stays[transfer.SID] {
			stays[transfer.Task], stays[transfer.FromTask] = true, true
		}
	}
	for _, transfer := range s.Transfers[:max(0, len(s.Transfers)-attributesKept)] {
		if transfer.Status != TransferActive && !stays[transfer.SID] {
			transfer.Attempt.Words = ""
		}
	}
	mayGo := func(t *Task) bool { return !t.Status.Live() && !stays[t.SID] }
	s.forgetAttributes(mayGo)
	s.forgetTasks(mayGo)
}

func (s *State) forgetAttributes(mayGo func(*Task) bool) {
	bytes := 0
	for i, t := range slices.Backward(s.Tasks) {
		bytes += t.Attributes.bytes()
		if mayGo(t) && (len(s.Tasks)-i > attributesKept || bytes > attributeBytesKept) {
			t.Attributes = nil
		}
	}
}

func (s *State) forgetTasks(mayGo func(*Task) bool) {
	gone := map[string]bool{}
	for _, t := range s.Tasks[:max(0, len(s.Tasks)-tasksKept)] {
		if mayGo(t) {
			gone[t.SID] = true
		}
	}
	transfers := len(s.Transfers)
	s.Tasks = slices.DeleteFunc(s.Tasks, func(t *Task) bool { return gone[t.SID] })
	s.Transfers = slices.DeleteFunc(s.Transfers, func(t *Transfer) bool { return gone[t.Task] || gone[t.FromTask] })
	s.Forgotten.Tasks += len(gone)
	s.Forgotten.Transfers += transfers - len(s.Transfers)
}
