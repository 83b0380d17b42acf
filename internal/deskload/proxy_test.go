package deskload

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// request returns a message of PostgreSQL's protocol; the first one has no letter.
func request(letter string, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte(letter), uint32(lengthSize+len(body))), body...) //nolint:gosec // short
}

func TestTheProxyCountsMessages(t *testing.T) {
	t.Parallel()
	var sent []byte
	for _, m := range [][]byte{
		request("", "user\x00baton"), request("Q", "begin"), request("P", "SQE"), request("B", ""), request("E", "SSS"), request("E", ""), request("S", ""),
	} {
		sent = append(sent, m...)
	}
	for size := 1; size <= len(sent); size++ { // however the network divides them
		p := &proxy{}
		m := &requests{proxy: p}
		for rest := sent; len(rest) > 0; {
			some := min(size, len(rest))
			m.read(rest[:some])
			rest = rest[some:]
		}
		require.EqualValues(t, 2, p.trips.Load(), "chunks of %d bytes", size)
		require.EqualValues(t, 3, p.statements.Load(), "chunks of %d bytes", size)
	}
}

func TestTheProxyDelaysWhatIsSent(t *testing.T) {
	t.Parallel()
	server, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer server.Close()
	go func() {
		connection, err := server.Accept()
		if err == nil {
			_, _ = io.Copy(connection, connection)
		}
	}()
	const latency = 20 * time.Millisecond
	p, address, err := startProxy(t.Context(), "postgres://baton@"+server.Addr().String()+"/desk", latency)
	require.NoError(t, err)
	require.Equal(t, "postgres://baton@"+p.listener.Addr().String()+"/desk", address)
	client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.listener.Addr().String())
	require.NoError(t, err)
	defer client.Close()

	began := time.Now()
	for range 3 {
		_, err := client.Write(request("Q", "echo"))
		require.NoError(t, err)
		_, err = io.ReadFull(client, make([]byte, len(request("Q", "echo"))))
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, time.Since(began), 3*latency-time.Millisecond)
	require.NoError(t, p.close())
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	filled, err := Options{Database: "sqlite:desk.db"}.Fill()
	require.NoError(t, err)
	require.Equal(t, Options{Database: "sqlite:desk.db", Callers: 8, Processes: 1, Queues: 10, Agents: Plenty, For: 10 * time.Second}, filled)
	for _, wrong := range []Options{
		{Callers: -1},
		{Callers: mostCallers + 1},
		{Processes: mostProcesses + 1},
		{Queues: mostQueues + 1},
		{Callers: 1, Processes: 2},
		{Agents: "few"},
		{For: time.Hour},
		{TransferEvery: -1},
		{LatencyMillis: 1, Database: "sqlite:desk.db"},
	} {
		_, err := wrong.Fill()
		require.Error(t, err, "%+v", wrong)
	}
	many := Options{Callers: 128, Queues: 10, Agents: Plenty}
	few := many
	few.Agents = Scarce
	require.Greater(t, many.agentsOfQueue()*capacity*many.Queues, many.Callers)
	require.Less(t, few.agentsOfQueue()*capacity*few.Queues, few.Callers)
}
