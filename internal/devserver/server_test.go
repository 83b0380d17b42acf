package devserver_test

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/internal/devserver"
)

// parentVariable makes this test binary a parent that starts a server on the database in the variable.
const parentVariable = "DEVSERVER_TEST_PARENT"

func TestMain(m *testing.M) {
	if database := os.Getenv(parentVariable); database != "" {
		beParent(database)
	}
	os.Exit(m.Run())
}

var someAttributes = map[string]enumspb.IndexedValueType{
	"ConversationStatus":    enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"ConversationAgents":    enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST,
	"ConversationTransfers": enumspb.INDEXED_VALUE_TYPE_INT,
}

func TestServerHasEverythingWhenStartReturns(t *testing.T) {
	t.Parallel()

	server := start(t, devserver.Options{UIAddress: "127.0.0.1:0", Namespace: "baton", SearchAttributes: someAttributes})
	for _, namespace := range []string{"baton", client.DefaultNamespace} {
		temporal := dial(t, server, namespace)
		listed, err := temporal.OperatorService().ListSearchAttributes(t.Context(),
			&operatorservice.ListSearchAttributesRequest{Namespace: namespace})
		require.NoError(t, err)
		for name, kind := range someAttributes {
			require.Equal(t, kind, listed.GetCustomAttributes()[name], "%s in namespace %s", name, namespace)
		}
		startWorkflow(t, temporal, "first")
	}
	response, err := http.Get(server.UIURL) //nolint:noctx // the test's own timeout is enough
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}

func TestServerStops(t *testing.T) {
	t.Parallel()

	server := start(t, devserver.Options{})
	require.NoError(t, server.Err())
	require.NotZero(t, server.PID)
	require.Empty(t, server.UIURL)
	require.NoError(t, server.Stop(t.Context()))
	<-server.Done()
	require.NoError(t, server.Err(), "its end was wanted")
	requireGone(t, server)
	require.NoError(t, server.Stop(t.Context()), "stopping twice does nothing")
	server.Kill()
}

func TestServerThatDoesNotStopInTimeIsKilled(t *testing.T) {
	t.Parallel()

	server := start(t, devserver.Options{})
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, server.Stop(impatient))
	requireGone(t, server)
}

func TestServerThatEndsByItselfIsNoticed(t *testing.T) {
	t.Parallel()

	server := start(t, devserver.Options{})
	require.NoError(t, syscall.Kill(server.PID, syscall.SIGKILL))
	<-server.Done()
	require.ErrorContains(t, server.Err(), "the dev server ended by itself (signal: killed)")
}

func TestKilledServerKeepsItsWorkflows(t *testing.T) {
	t.Parallel()

	options := devserver.Options{
		DatabaseFile:     filepath.Join(t.TempDir(), "made", "with spaces", "temporal.db"),
		Namespace:        "baton",
		SearchAttributes: map[string]enumspb.IndexedValueType{"ConversationStatus": enumspb.INDEXED_VALUE_TYPE_KEYWORD},
	}
	server := start(t, options)
	startWorkflow(t, dial(t, server, "baton"), "kept")
	server.Kill()
	requireGone(t, server)
	require.NoError(t, server.Err())

	// The same address, and an older file that lacks some of the search attributes.
	options.Address, options.SearchAttributes = server.Address, someAttributes
	server = start(t, options)
	require.Equal(t, options.Address, server.Address)
	temporal := dial(t, server, "baton")
	kept, err := temporal.DescribeWorkflowExecution(t.Context(), "kept", "")
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, kept.GetWorkflowExecutionInfo().GetStatus())
	listed, err := temporal.OperatorService().ListSearchAttributes(t.Context(),
		&operatorservice.ListSearchAttributesRequest{Namespace: "baton"})
	require.NoError(t, err)
	require.Equal(t, enumspb.INDEXED_VALUE_TYPE_INT, listed.GetCustomAttributes()["ConversationTransfers"])
	require.NoError(t, server.Stop(t.Context()))

	options.SearchAttributes = map[string]enumspb.IndexedValueType{"ConversationStatus": enumspb.INDEXED_VALUE_TYPE_INT}
	_, err = devserver.Start(t.Context(), withBinary(t, options))
	require.ErrorContains(t, err, "search attribute ConversationStatus of namespace baton is of type Keyword, and has to be of type Int")
}

func TestServerDiesWithItsParent(t *testing.T) {
	t.Parallel()

	database := filepath.Join(t.TempDir(), "temporal.db")
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+database, "BATON_TEMPORAL="+withBinary(t, devserver.Options{}).Binary)
	parent.Stderr = os.Stderr
	output, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	lines := bufio.NewScanner(output)
	require.True(t, lines.Scan())
	address, number, ok := strings.Cut(lines.Text(), " ")
	require.True(t, ok, lines.Text())
	pid, err := strconv.Atoi(number)
	require.NoError(t, err)

	group, err := syscall.Getpgid(pid)
	require.NoError(t, err)
	parents, err := syscall.Getpgid(parent.Process.Pid)
	require.NoError(t, err)
	require.NotEqual(t, parents, group, "Ctrl-C in the parent's terminal is not for the server")

	startWorkflow(t, dial(t, &devserver.Server{Address: address}, client.DefaultNamespace), "kept")
	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())

	// Immediately, like a user who restarts `dev`: Start waits until the file is free.
	server := start(t, devserver.Options{DatabaseFile: database, Address: address})
	_, err = dial(t, server, client.DefaultNamespace).DescribeWorkflowExecution(t.Context(), "kept", "")
	require.NoError(t, err)
}

// beParent starts a server, prints its address and process ID, and waits to be killed.
func beParent(database string) {
	server, err := devserver.Start(context.Background(), devserver.Options{
		Binary: os.Getenv("BATON_TEMPORAL"), DatabaseFile: database, LogWriter: os.Stderr,
	})
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(server.Address + " " + strconv.Itoa(server.PID) + "\n")
	select {}
}

func TestDynamicConfig(t *testing.T) {
	t.Parallel()

	server := start(t, devserver.Options{DynamicConfig: map[string]any{"limit.blobSize.error": 1000, "limit.blobSize.warn": 500}})
	_, err := dial(t, server, client.DefaultNamespace).ExecuteWorkflow(t.Context(),
		client.StartWorkflowOptions{TaskQueue: "nobody"}, "Any", strings.Repeat("x", 2000))
	require.ErrorContains(t, err, "Blob data size exceeds limit")

	_, err = devserver.Start(t.Context(), withBinary(t, devserver.Options{DynamicConfig: map[string]any{"a.channel": make(chan int)}}))
	require.ErrorContains(t, err, "setting a.channel is not JSON")
}

func TestStartThatCannotWork(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	taken := listener.Addr().String()

	tests := []struct {
		name    string
		options devserver.Options
		says    []string
	}{
		{
			name:    "port in use",
			options: devserver.Options{Address: taken},
			says:    []string{"the dev server cannot listen on " + taken, "stop that one, or choose another address"},
		},
		{
			name:    "port of the Web UI in use",
			options: devserver.Options{UIAddress: taken},
			says:    []string{"the Web UI cannot listen on " + taken},
		},
		{
			name:    "no address",
			options: devserver.Options{Address: "7233"},
			says:    []string{"the address of the dev server is host:port, such as 127.0.0.1:7233"},
		},
		{
			name:    "damaged database file",
			options: devserver.Options{DatabaseFile: file("damaged.db", bytes.Repeat([]byte("rubbish!"), 4096))},
			says:    []string{"damaged.db is damaged, or is not one of the dev server's", "move it", "Its last lines:", "file is not a database"},
		},
		{
			name:    "empty database file",
			options: devserver.Options{DatabaseFile: file("empty.db", nil)},
			says:    []string{"empty.db is damaged, or is not one of the dev server's", "no such table"},
		},
		{
			name:    "folder instead of a database file",
			options: devserver.Options{DatabaseFile: folder},
			says:    []string{"cannot be opened: make it a file"},
		},
		{
			name:    "folder that cannot be made",
			options: devserver.Options{DatabaseFile: filepath.Join(file("file", nil), "temporal.db")},
			says:    []string{"make the folder of the database file"},
		},
		{
			name:    "path that the dev server reads otherwise",
			options: devserver.Options{DatabaseFile: filepath.Join(folder, "what?.db")},
			says:    []string{"choose a path without ?, # and %"},
		},
		{
			name:    "no program",
			options: devserver.Options{Binary: filepath.Join(folder, "temporal")},
			says:    []string{"program does not run", "install the Temporal CLI 1.5.1 or newer"},
		},
		{
			name:    "no program at all",
			options: devserver.Options{Binary: file("text", []byte("just text"))},
			says:    []string{"program does not run", "permission denied"},
		},
		{
			name:    "another program",
			options: devserver.Options{Binary: "/bin/false"},
			says:    []string{"the dev server does not start", "exit status 1"},
		},
		{
			name:    "setting of the wrong form",
			options: devserver.Options{SearchAttributes: map[string]enumspb.IndexedValueType{"Some": enumspb.INDEXED_VALUE_TYPE_UNSPECIFIED}},
			says:    []string{"the dev server does not start", "invalid search attribute value type"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.options.Binary == "" {
				test.options = withBinary(t, test.options)
			}
			_, err := devserver.Start(t.Context(), test.options)
			for _, says := range test.says {
				require.ErrorContains(t, err, says)
			}
		})
	}
}

func TestTwoServersDoNotShareADatabaseFile(t *testing.T) {
	t.Parallel()

	options := withBinary(t, devserver.Options{DatabaseFile: filepath.Join(t.TempDir(), "temporal.db")})
	start(t, options)
	impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := devserver.Start(impatient, options)
	require.ErrorContains(t, err, "is in use by another dev server: stop that one, or choose another folder for the file")
}

// crash is the output of a dev server that finds no free port for one of its services.
const crash = `
echo "panic: failed assigning ephemeral port: failed to assign a free port: listen tcp 127.0.0.1:0: bind: no more" >&2
echo >&2
echo "goroutine 1 [running]:" >&2
for frame in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do echo "main.frame$frame(...)" >&2; done
exit 2`

func TestAServerThatCrashesAtItsStartIsStartedAgain(t *testing.T) {
	t.Parallel()

	whole := withBinary(t, devserver.Options{}).Binary
	once := filepath.Join(t.TempDir(), "once")
	binary := devserver.Script(t, t.TempDir(), "temporal", "if [ -e "+once+" ]; then exec "+whole+" \"$@\"; fi; touch "+once+crash)
	server, err := devserver.Start(t.Context(), devserver.Options{Binary: binary})
	require.NoError(t, err)
	t.Cleanup(server.Kill)
	require.FileExists(t, once)
	startWorkflow(t, dial(t, server, "default"), "one")
}

func TestAServerThatCrashesAtEachStartSaysHow(t *testing.T) {
	t.Parallel()

	starts := filepath.Join(t.TempDir(), "starts")
	_, err := devserver.Start(t.Context(), devserver.Options{Binary: devserver.Script(t, t.TempDir(), "temporal", "echo >>"+starts+crash)})
	require.ErrorContains(t, err, "crashes at its start: its log says why")
	require.ErrorContains(t, err, "panic: failed assigning ephemeral port", "what came before the stack")
	require.ErrorContains(t, err, "main.frame14")
	tries, err := os.ReadFile(starts)
	require.NoError(t, err)
	require.Len(t, tries, 5)
}

func TestStartThatIsGivenUp(t *testing.T) {
	t.Parallel()

	ctx, giveUp := context.WithCancel(t.Context())
	silent := devserver.Script(t, t.TempDir(), "temporal", "echo waiting for nothing\nexec sleep 600")
	output := &signalingWriter{written: giveUp}
	_, err := devserver.Start(ctx, devserver.Options{Binary: silent, LogWriter: output})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "waiting for nothing")
}

// start runs a server until the test ends.
func start(t *testing.T, options devserver.Options) *devserver.Server {
	t.Helper()
	server, err := devserver.Start(t.Context(), withBinary(t, options))
	require.NoError(t, err)
	t.Cleanup(server.Kill)
	return server
}

func withBinary(t *testing.T, options devserver.Options) devserver.Options {
	t.Helper()
	binary, err := devserver.Binary(t.Context(), os.Stderr)
	require.NoError(t, err)
	options.Binary = binary
	return options
}

func dial(t *testing.T, server *devserver.Server, namespace string) client.Client {
	t.Helper()
	temporal, err := client.DialContext(t.Context(), client.Options{HostPort: server.Address, Namespace: namespace})
	require.NoError(t, err)
	t.Cleanup(temporal.Close)
	return temporal
}

// startWorkflow starts a workflow without a worker, which is enough to check that it is stored.
func startWorkflow(t *testing.T, temporal client.Client, id string) {
	t.Helper()
	_, err := temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: "nobody"}, "Any")
	require.NoError(t, err)
}

func requireGone(t *testing.T, server *devserver.Server) {
	t.Helper()
	_, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Address)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.ErrorIs(t, syscall.Kill(server.PID, 0), syscall.ESRCH)
}

// signalingWriter calls written after each write.
type signalingWriter struct{ written func() }

func (w *signalingWriter) Write(chunk []byte) (int, error) {
	w.written()
	return len(chunk), nil
}
