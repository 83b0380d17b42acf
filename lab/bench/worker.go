package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/baton-transfers/baton/internal/testenv"
)

// workerProcess is a worker as in production: a separate process with its own memory.
type workerProcess struct {
	*testenv.Process

	// metrics is the address of its metrics.
	metrics string
}

// startWorkerProcess builds the worker and starts it. It returns when the worker runs.
func startWorkerProcess(ctx context.Context, s *environment) (*workerProcess, error) {
	program := filepath.Join(s.Folder, "worker")
	if err := testenv.Build(ctx, ".", program, nil, "./worker"); err != nil {
		return nil, err
	}
	p, err := testenv.Start(ctx, testenv.Program{
		Name: "the worker", Path: program, Variables: s.Variables("GOMEMLIMIT="+memoryLimit, "BATON_METRICS=127.0.0.1:0"),
	})
	if err != nil {
		return nil, err
	}
	started, err := p.AwaitLogged(ctx, "worker started")
	if err != nil {
		p.Kill()
		return nil, err
	}
	address, _ := started["metrics"].(string)
	return &workerProcess{Process: p, metrics: address + "/metrics"}, nil
}

// stop ends the worker as Ctrl-C would.
func (w *workerProcess) stop(ctx context.Context) error {
	if err := w.Interrupt(); err != nil {
		return fmt.Errorf("%w; it had printed:\n%s", err, w.Tail())
	}
	code, err := w.ExitCode(context.WithoutCancel(ctx))
	if err == nil && code != 0 {
		err = fmt.Errorf("the worker ended with exit code %d and printed:\n%s", code, w.Tail())
	}
	return err
}

// cached returns how many conversations the worker keeps in memory, from its metrics.
func (w *workerProcess) cached(ctx context.Context) (int, error) {
	answer, err := testenv.Call(ctx, http.DefaultClient, testenv.Request{Method: http.MethodGet, URL: w.metrics})
	if err != nil {
		return 0, fmt.Errorf("read the worker's metrics: %w", err)
	}
	for line := range strings.Lines(answer.Text) {
		if strings.HasPrefix(line, "temporal_sticky_cache_size") {
			size, err := strconv.ParseFloat(line[strings.LastIndexByte(strings.TrimSpace(line), ' ')+1:len(line)-1], 64)
			if err != nil {
				return 0, fmt.Errorf("read the worker's metrics: %w", err)
			}
			return int(size), nil
		}
	}
	return 0, errors.New("read the worker's metrics: they don't say how many conversations it keeps")
}

// ticksPerSecond is the unit of a process's CPU time on Linux, for every program (USER_HZ).
const ticksPerSecond = 100

// busy returns the CPU time of the process so far.
func (w *workerProcess) busy() (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(w.PID()), "stat"))
	if err != nil {
		return 0, fmt.Errorf("read the worker's CPU time, which only Linux tells: %w", err)
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the program's name comes before, and may contain blanks
	fields := strings.Fields(after)
	const user, system = 11, 12
	if len(fields) <= system {
		return 0, errors.New("read the worker's CPU time: the system tells it otherwise")
	}
	var ticks int64
	for _, field := range []string{fields[user], fields[system]} {
		some, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the worker's CPU time: %w", err)
		}
		ticks += some
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// resident returns the memory of the process in MiB: the current and the highest value. It needs Linux.
func (w *workerProcess) resident() (now, most float64, err error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(w.PID()), "status"))
	if err != nil {
		return 0, 0, fmt.Errorf("read the worker's memory, which only Linux tells: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kilobytes, unit := strings.CutSuffix(strings.TrimSpace(value), " kB")
		if !unit || (name != "VmRSS" && name != "VmHWM") {
			continue
		}
		size, err := strconv.ParseFloat(kilobytes, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read the worker's memory: %w", err)
		}
		if name == "VmRSS" {
			now = size / 1024
		} else {
			most = size / 1024
		}
	}
	if now == 0 {
		return 0, 0, errors.New("read the worker's memory: the system doesn't tell it")
	}
	return now, most, nil
}
