package deskload

import (
	"errors"
	"fmt"
	"time"

	"github.com/baton-transfers/baton/internal/sqldb"
)

// Staffing is how many tasks the agents can take, compared with the callers.
type Staffing string

// With plenty of agents, a task rarely waits. With scarce agents, most tasks wait.
const (
	Plenty Staffing = "plenty"
	Scarce Staffing = "scarce"
)

// Options configure a load. The zero value of each field has a meaning; [Options.Fill] replaces it.
type Options struct {
	// Database is the address of an empty database, as for desk.Open.
	Database string `json:"-"`
	// Callers is how many conversations run at the same time, in all processes; 8 if zero.
	Callers int `json:"callers"`
	// Processes is how many processes the callers are in; 1 if zero.
	Processes int `json:"processes"`
	// Queues is how many queues conversations start in; 10 if zero. For every five of them there is one more, to which
	// conversations are transferred.
	Queues int `json:"queues"`
	// Agents is [Plenty] if empty.
	Agents Staffing `json:"agents"`
	// TransferEvery is after how many conversations one is transferred to a queue. Zero: none is.
	TransferEvery int `json:"transfer_every"`
	// LatencyMillis is added to each round trip to the database. It needs PostgreSQL.
	LatencyMillis float64 `json:"latency_ms"`
	// For is how long conversations are started; 10 seconds if zero. Conversations is the maximum number; zero: no
	// maximum.
	For           time.Duration `json:"-"`
	Conversations int           `json:"-"`
}

const (
	defaultCallers, defaultQueues, defaultFor = 8, 10, 10 * time.Second
	// mostCallers, mostProcesses, mostQueues and longest bound a load.
	mostCallers, mostProcesses, mostQueues, longest = 1024, 16, 200, 10 * time.Minute
	// queuesForSecond is for how many queues there is one to which they transfer.
	queuesForSecond = 5
	// capacity is how many tasks an agent takes.
	capacity = 2
)

// Fill returns the options with defaults for what is zero, or what is wrong with them.
func (o Options) Fill() (Options, error) {
	for _, field := range []struct {
		value      *int
		absent     int
		most       int
		inSentence string
	}{
		{&o.Callers, defaultCallers, mostCallers, "callers"},
		{&o.Processes, 1, mostProcesses, "processes"},
		{&o.Queues, defaultQueues, mostQueues, "queues"},
	} {
		if *field.value == 0 {
			*field.value = field.absent
		}
		if *field.value < 1 || *field.value > field.most {
			return o, fmt.Errorf("%d %s are no load: choose 1 to %d", *field.value, field.inSentence, field.most)
		}
	}
	if o.For == 0 {
		o.For = defaultFor
	}
	if o.Agents == "" {
		o.Agents = Plenty
	}
	switch {
	case o.Callers < o.Processes:
		return o, fmt.Errorf("%d callers are too few for %d processes: choose as many or more", o.Callers, o.Processes)
	case o.Agents != Plenty && o.Agents != Scarce:
		return o, fmt.Errorf("agents are %q: choose %s or %s", o.Agents, Plenty, Scarce)
	case o.For < 0 || o.For > longest || o.Conversations < 0 || o.TransferEvery < 0 || o.LatencyMillis < 0:
		return o, fmt.Errorf("a load lasts up to %s, and none of its numbers is negative", longest)
	case o.LatencyMillis > 0 && !sqldb.IsPostgres(o.Database):
		return o, errors.New("only PostgreSQL can be remote: leave the latency out, or choose postgres")
	}
	return o, nil
}

// seconds returns the number of queues to which conversations are transferred.
func (o Options) seconds() int { return (o.Queues + queuesForSecond - 1) / queuesForSecond }

// agentsOfQueue returns how many agents a queue gets. With plenty, they take twice as many tasks as there are callers,
// and with scarce agents a quarter.
func (o Options) agentsOfQueue() int {
	tasks := 2 * o.Callers
	if o.Agents == Scarce {
		tasks = o.Callers / 4 //nolint:mnd // a quarter
	}
	return max(1, tasks/capacity/o.Queues)
}

// queueName and secondName name the queues by number. Transfers from a queue go to secondName of the same number.
func queueName(number int) string { return fmt.Sprintf("queue-%02d", number) }

func (o Options) secondName(queue int) string { return fmt.Sprintf("second-%02d", queue%o.seconds()) }
