package conversation

import "slices"

// These limit what a state keeps of ended tasks, so that a conversation with any number of transfers fits into a
// payload, which Temporal's server limits to two megabytes. The desk keeps everything. Like the sizes in size.go,
// these limits affect what workflows do: change them only behind workflow.GetVersion.
const (
	// tasksKept is how many of the newest tasks are kept, with the transfers between them.
	tasksKept = 600
	// attributesKept is how many of the newest tasks keep their attributes, attributeBytesKept the size limit for
	// these.
	attributesKept     = 100
	attributeBytesKept = 256 << 10
)

// Forgotten counts the tasks and transfers that were removed from the state.
type Forgotten struct {
	Tasks     int `json:"tasks,omitempty"`
	Transfers int `json:"transfers,omitempty"`
}

// HadTasks returns how many tasks the conversation has had, including the forgotten ones.
func (s *State) HadTasks() int { return s.Forgotten.Tasks + len(s.Tasks) }

// HadTransfers returns how many transfers the conversation has had, including the forgotten ones.
func (s *State) HadTransfers() int { return s.Forgotten.Transfers + len(s.Transfers) }

// Forget removes tasks and transfers that ended long ago. It keeps those that the pending events mention, and those
// that remembered commands refer to.
func (s *State) Forget(pending []Event) {
	stays := map[string]bool{}
	for _, e := range pending {
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
	forgetAttributes(s, mayGo)
	forgetTasks(s, mayGo)
}

func forgetAttributes(s *State, mayGo func(*Task) bool) {
	bytes := 0
	for i, t := range slices.Backward(s.Tasks) {
		bytes += t.Attributes.bytes()
		if mayGo(t) && (len(s.Tasks)-i > attributesKept || bytes > attributeBytesKept) {
			t.Attributes = nil
		}
	}
}

func forgetTasks(s *State, mayGo func(*Task) bool) {
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
