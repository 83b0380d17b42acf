package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/baton-transfers/baton/internal/child"
	"github.com/baton-transfers/baton/internal/config"
)

// workerProcess is a worker as in production: a separate process with its own memory.
type workerProcess struct {
	command *exec.Cmd
	printed printed
	ended   chan error
}

// printed is what a process has printed so far.
type printed struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

// Write implements [io.Writer].
func (p *printed) Write(text []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.text.Write(text) //nolint:wrapcheck // a writer in between
}

func (p *printed) String() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.text.String()
}

// startWorkerProcess builds the worker and starts it. The worker is ready when it takes its first task.
func startWorkerProcess(ctx context.Context, folder, temporal string) (*workerProcess, error) {
	program := filepath.Join(folder, "worker")
	if output, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./worker").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build ./worker (run this from the repository's folder): %w\n%s", err, output)
	}
	w := &workerProcess{command: exec.Command(program), ended: make(chan error, 1)} //nolint:noctx // stop ends it
	w.command.Env = append(child.Environment("BATON_", "TEMPORAL_", "GOMEMLIMIT="), "BATON_DATABASE="+config.Database(folder), "TEMPORAL_ADDRESS="+temporal, "GOMEMLIMIT="+memoryLimit,
		"BATON_METRICS=127.0.0.1:0")
	w.command.Stderr = &w.printed
	if err := child.Start(w.command, func(err error) { w.ended <- err }); err != nil {
		return nil, fmt.Errorf("start the worker: %w", err)
	}
	return w, nil
}

// stop ends the worker as Ctrl-C would.
func (w *workerProcess) stop() error {
	if err := w.command.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("the worker has ended before its time: %w\n%s", err, w.printed.String())
	}
	if err := <-w.ended; err != nil {
		return fmt.Errorf("the worker: %w\n%s", err, w.printed.String())
	}
	return nil
}

// cached returns how many conversations the worker keeps in memory, from its metrics.
func (w *workerProcess) cached(ctx context.Context) (int, error) {
	address, err := w.metrics()
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, fmt.Errorf("ask the worker for its metrics: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("ask the worker for its metrics: %w", err)
	}
	text, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return 0, fmt.Errorf("read the worker's metrics: %w", err)
	}
	for line := range strings.Lines(string(text)) {
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

// metrics returns the address of the worker's metrics, which the worker prints when it runs.
func (w *workerProcess) metrics() (string, error) {
	for line := range strings.Lines(w.printed.String()) {
		var said struct {
			Metrics string `json:"metrics"`
		}
		if json.Unmarshal([]byte(line), &said) == nil && said.Metrics != "" {
			return said.Metrics + "/metrics", nil
		}
	}
	return "", errors.New("the worker has not said where its metrics are")
}

// ticksPerSecond is the unit of a process's CPU time on Linux, for every program (USER_HZ).
const ticksPerSecond = 100

// busy returns the CPU time of the process so far.
func (w *workerProcess) busy() (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(w.command.Process.Pid), "stat"))
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
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(w.command.Process.Pid), "status"))
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
