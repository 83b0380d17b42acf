package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/devserver"
	"github.com/baton-transfers/baton/internal/testenv"
)

// built is the folder that the programs under test are built into.
var built string

func TestMain(m *testing.M) {
	if database := os.Getenv(holdVariable); database != "" {
		hold(database)
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	folder, err := os.MkdirTemp("", "baton-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a folder for the programs under test:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	built = folder
	defer func() { endChromium() }()
	return m.Run()
}

// The first test that needs the programs builds them, once.
var (
	workerProgram  = sync.OnceValues(func() (string, error) { return build("worker", "worker") })
	batonProgram   = sync.OnceValues(func() (string, error) { return build("baton", "starter") })
	gatewayProgram = sync.OnceValues(func() (string, error) { return build("gateway", "gateway") })
	temporalCLI    = sync.OnceValues(func() (string, error) { return devserver.Binary(context.Background(), os.Stderr) })
)

// build builds the program in a folder of the repository, and returns the path of its file, which has the given name.
func build(name, folder string) (string, error) {
	program := filepath.Join(built, name)
	return program, testenv.Build(context.Background(), "..", program, buildFlags, "./"+folder)
}

// have returns the path of a built program, or fails the test.
func have(t *testing.T, program func() (string, error)) string {
	t.Helper()
	path, err := program()
	require.NoError(t, err)
	return path
}

// waitFor waits until the condition holds. If it doesn't in time, it fails the test and names the condition.
func waitFor(t *testing.T, within time.Duration, what string, condition func() bool) {
	t.Helper()
	require.NoError(t, testenv.Await(context.WithoutCancel(t.Context()), within, what, func() (bool, error) { return condition(), nil }))
}
