package conversation_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/baton-transfers/baton/conversation"
)

// TestProperties sends random commands of any agent, sensible and not, with settings that change with all facts.
// After each command it checks the invariants, that a refused command leaves every byte unchanged, that a repeated
// command has no second effect, and that two replicas stay equal to the byte, one of which is continued as new
// after every command.
func TestProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		run := &randomRun{t: t, one: &conversation.State{}, other: &conversation.State{}, now: monday, sent: map[string]conversation.Command{}}
		if rapid.IntRange(0, 9).Draw(t, "starts late") > 0 {
			run.step(run.start(), factsOf(bothSwitchesOn(), true))
		}
		t.Repeat(map[string]func(*rapid.T){
			"a command":            func(t *rapid.T) { run.t = t; run.step(run.command(), run.facts()) },
			"what is due":          func(t *rapid.T) { run.t = t; run.due() },
			"what would carry on":  func(t *rapid.T) { run.t = t; run.step(run.sensible(), run.generous()) },
			"an ID that was used":  func(t *rapid.T) { run.t = t; run.again() },
			"time passing quietly": func(t *rapid.T) { run.t = t; run.now = run.now.Add(run.duration()) },
		})
	})
}

type randomRun struct {
	t          *rapid.T
	one, other *conversation.State
	now        time.Time
	sent       map[string]conversation.Command
}

func (r *randomRun) encoded(s *conversation.State) string {
	raw, err := json.Marshal(s)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(raw)
}

// step carries out the command on both replicas.
func (r *randomRun) step(command conversation.Command, facts *conversation.Facts) {
	before, id := copyOf(r.one), idOf(command)
	bytes := r.encoded(before)
	repeated := slices.ContainsFunc(before.Remembered, func(m conversation.Remembered) bool { return id != "" && m.ID == id })
	checked := r.one.Check(command, r.now)
	_, asked := r.one.Ask(command, r.now)
	result, err := r.one.Apply(command, facts, r.now)
	otherResult, otherErr := r.other.Apply(command, facts, r.now)
	st := step{
		before: before, command: command, facts: facts, now: r.now, after: r.one, result: result, err: err, repeated: repeated,
	}
	if broken := checkStep(st); broken != nil {
		r.t.Fatal(broken)
	}
	after := r.encoded(r.one)
	switch {
	case r.encoded(before) != bytes:
		r.t.Fatal("what came before was changed afterwards")
	case !result.Changed && after != bytes:
		r.t.Fatalf("I7 is broken: %v (%v) changed the state", command, err)
	case repeated && result.Changed:
		r.t.Fatalf("%s had a second effect", id)
	case repeated && err != nil && codeOf(err) != conversation.CodeInvalidPayload:
		r.t.Fatalf("%s was known, and refused: %v", id, err)
	case codeOf(checked) != codeOf(asked) || (checked != nil && codeOf(checked) != codeOf(err)):
		r.t.Fatalf("Check says %v, Ask %v and Apply %v", checked, asked, err)
	case after != r.encoded(r.other) || fmt.Sprint(err) != fmt.Sprint(otherErr):
		r.t.Fatal("the replicas differ")
	case fmt.Sprint(result.Events, result.Notes) != fmt.Sprint(otherResult.Events, otherResult.Notes):
		r.t.Fatal("the replicas tell different things")
	}
	if result.Changed && id != "" {
		r.sent[id] = command
	}
	r.other = &conversation.State{}
	if err := json.Unmarshal([]byte(after), r.other); err != nil || r.encoded(r.other) != after {
		r.t.Fatalf("the state doesn't survive JSON: %v", err)
	}
	if deadline, ok := r.one.Deadline(); ok && (len(r.one.LiveTasks()) == 0 || !deadline.Task.Status.Live()) {
		r.t.Fatal("a deadline without anything live")
	}
	r.unlike()
}

// unlike checks that no two things have the same SID.
func (r *randomRun) unlike() {
	seen := map[string]bool{}
	for _, task := range r.one.Tasks {
		seen[task.SID] = true
	}
	for _, transfer := range r.one.Transfers {
		seen[transfer.SID] = true
	}
	if len(seen) != len(r.one.Tasks)+len(r.one.Transfers) {
		r.t.Fatal("a SID was given twice")
	}
}

// due moves the time to the earliest deadline.
func (r *randomRun) due() {
	deadline, ok := r.one.Deadline()
	if !ok {
		return
	}
	if deadline.At.After(r.now) {
		r.now = deadline.At.Add(time.Duration(rapid.IntRange(0, 3).Draw(r.t, "late")) * time.Second)
	}
	r.step(conversation.ExpireCommand{}, nil)
}

// again repeats an earlier command, unchanged or with a small change.
func (r *randomRun) again() {
	if len(r.sent) == 0 {
		return
	}
	ids := make([]string, 0, len(r.sent))
	for id := range r.sent {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	id := rapid.SampledFrom(ids).Draw(r.t, "ID")
	command := r.sent[id]
	if rapid.Bool().Draw(r.t, "other payload") {
		command = conversation.CloseCommand{Reason: "other", Meta: conversation.Meta{CommandID: id}}
	}
	r.step(command, r.facts())
}

func idOf(command conversation.Command) string {
	raw, err := json.Marshal(command)
	if err != nil {
		return ""
	}
	var meta conversation.Meta
	if err := json.Unmarshal(raw, &meta); err != nil {
		return ""
	}
	return meta.CommandID
}

func (r *randomRun) duration() time.Duration {
	return time.Duration(rapid.SampledFrom([]int{0, 1, 29, 30, 119, 120, 3600, 86400}).Draw(r.t, "seconds")) * time.Second
}

func (r *randomRun) agent() string {
	return rapid.SampledFrom([]string{"alice", "bob", "carol", ""}).Draw(r.t, "agent")
}

func (r *randomRun) target() conversation.Target {
	return rapid.SampledFrom([]conversation.Target{
		{Agent: "alice"}, {Agent: "bob"}, {Agent: "carol"}, {Queue: "support"}, {Queue: "billing"}, {Workflow: "Anything"}, {},
	}).Draw(r.t, "to")
}

func (r *randomRun) taskSID() string {
	sids := []string{"", "", "", "WT" + strings.Repeat("0", 32)}
	for _, task := range r.one.Tasks {
		sids = append(sids, task.SID)
	}
	return rapid.SampledFrom(sids[max(0, len(sids)-8):]).Draw(r.t, "task")
}

func (r *randomRun) transferSID() string {
	sids := []string{"", "", "UX" + strings.Repeat("0", 32)}
	for _, transfer := range r.one.Transfers {
		sids = append(sids, transfer.SID)
	}
	return rapid.SampledFrom(sids[max(0, len(sids)-6):]).Draw(r.t, "transfer")
}

func (r *randomRun) meta() conversation.Meta {
	id := ""
	if n := rapid.IntRange(0, 40).Draw(r.t, "command ID"); n > 20 {
		id = fmt.Sprint("c", n)
	}
	return conversation.Meta{CommandID: id, By: rapid.SampledFrom([]string{"", "", "carol"}).Draw(r.t, "by")}
}

// storable returns the text as every database can store it.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "\x00", "?")
}

func (r *randomRun) start() conversation.StartCommand {
	attributes := conversation.Attributes{}
	for _, key := range rapid.SliceOfN(rapid.StringN(0, 8, 16), 0, 4).Draw(r.t, "keys") {
		value, err := json.Marshal(storable(rapid.StringN(0, 8, 16).Draw(r.t, "value")))
		if err != nil {
			r.t.Fatal(err)
		}
		attributes[storable(key)] = value
	}
	return conversation.StartCommand{
		Conversation: storyConversation, Queue: "support", Priority: rapid.IntRange(0, 3).Draw(r.t, "priority"), Attributes: attributes,
		Channel: rapid.SampledFrom(append(conversation.Channels(), conversation.ChannelWeb, conversation.ChannelWeb)).Draw(r.t, "channel"),
	}
}

// command returns any command. Most of them are refused.
func (r *randomRun) command() conversation.Command {
	switch name := rapid.IntRange(0, 10).Draw(r.t, "command"); name {
	case 0:
		return conversation.TransferCommand{
			From: r.agent(), To: r.target(), Meta: r.meta(),
			Mode: rapid.SampledFrom([]conversation.Mode{"", "cold", "warm", "tepid"}).Draw(r.t, "mode"),
			Note: rapid.SampledFrom([]string{"", "Hi", " ", storedNote}).Draw(r.t, "note"),
		}
	case 1:
		return conversation.AcceptCommand{Agent: r.agent(), Task: r.taskSID(), Meta: r.meta()}
	case 2:
		return conversation.DeclineCommand{Agent: r.agent(), Task: r.taskSID(), Meta: r.meta()}
	case 3:
		return conversation.WrapupCommand{Agent: r.agent(), Task: r.taskSID(), Note: "Done", Meta: r.meta()}
	case 4:
		return conversation.EndCommand{Agent: r.agent(), Task: r.taskSID(), Meta: r.meta()}
	case 5:
		return conversation.CancelCommand{Agent: r.agent(), Transfer: r.transferSID(), Meta: r.meta()}
	case 6:
		return conversation.MoveCommand{Task: r.taskSID(), To: r.target(), Meta: r.meta()}
	case 7:
		if rapid.IntRange(0, 3).Draw(r.t, "really close") > 0 {
			return conversation.ExpireCommand{}
		}
		return conversation.CloseCommand{Meta: r.meta()}
	case 8:
		return conversation.ReserveCommand{
			Agent: r.agent(), Task: r.taskSID(), PendingSeq: rapid.IntRange(0, r.one.PendingCount+1).Draw(r.t, "placement"), Meta: r.meta(),
		}
	case 9:
		return r.start()
	default:
		return conversation.ExpireCommand{}
	}
}

// sensible returns a command that an agent could send now, so that conversations proceed.
func (r *randomRun) sensible() conversation.Command {
	if r.one.Status == "" {
		return r.start()
	}
	live := r.one.LiveTasks()
	if len(live) == 0 {
		return conversation.CloseCommand{}
	}
	agent := rapid.SampledFrom([]string{"alice", "bob", "carol"}).Draw(r.t, "agent")
	switch task := rapid.SampledFrom(live).Draw(r.t, "live task"); task.Status {
	case conversation.TaskPending:
		return conversation.ReserveCommand{Task: task.SID, Agent: agent, PendingSeq: task.PendingSeq, Meta: r.meta()}
	case conversation.TaskReserved:
		if rapid.IntRange(0, 3).Draw(r.t, "declines") == 0 {
			return conversation.DeclineCommand{Agent: task.Agent, Meta: r.meta()}
		}
		return conversation.AcceptCommand{Agent: task.Agent, Meta: r.meta()}
	case conversation.TaskAssigned:
		return conversation.TransferCommand{From: task.Agent, To: conversation.Target{Agent: agent}, Note: "Please", Meta: r.meta()}
	default:
		if active := r.one.ActiveTransfer(); active != nil && rapid.Bool().Draw(r.t, "takes back") {
			return conversation.CancelCommand{Agent: active.From, Meta: r.meta()}
		}
		return conversation.WrapupCommand{Agent: task.Agent, Meta: r.meta()}
	}
}

func (r *randomRun) settings() conversation.Settings {
	settings := bothSwitchesOn()
	settings.ReservationTimeout = rapid.SampledFrom([]int{1, 120}).Draw(r.t, "reservation_timeout")
	settings.TaskTimeout = rapid.SampledFrom([]int{60, 86400}).Draw(r.t, "task_timeout")
	settings.WrapupTimeout = rapid.SampledFrom([]int{0, 30}).Draw(r.t, "wrapup_timeout")
	settings.Unanswered = rapid.SampledFrom([]conversation.UnansweredPolicy{"origin_queue", "sender"}).Draw(r.t, "unanswered")
	settings.AgentUnavailable = rapid.SampledFrom([]conversation.AgentUnavailablePolicy{"refuse", "wait", "origin_queue"}).Draw(r.t, "agent_unavailable")
	return settings
}

// generous returns facts that allow everything that the settings allow.
func (r *randomRun) generous() *conversation.Facts {
	return factsOf(r.settings(), rapid.Bool().Draw(r.t, "available"))
}

// facts returns any facts, or nil if the desk does not answer.
func (r *randomRun) facts() *conversation.Facts {
	usually := func(what string) bool { return rapid.IntRange(0, 5).Draw(r.t, what) > 0 }
	if !usually("answers") {
		return nil
	}
	v := r.generous()
	v.Settings.MessagingTransfers, v.Settings.TransferNotes = usually("messaging_transfers"), usually("transfer_notes")
	v.AgentKnown, v.QueueKnown, v.NoteKnown = usually("agent known"), usually("queue known"), usually("note known")
	v.AgentAvailable = v.AgentAvailable && v.AgentKnown
	v.QueueMembers = rapid.IntRange(0, 2).Draw(r.t, "members")
	if !usually("no plugin") {
		v.Plugin = "acme"
	}
	return v
}
