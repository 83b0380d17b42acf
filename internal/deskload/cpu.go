package deskload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is the unit of a process's CPU time on Linux, for every program (USER_HZ).
const ticksPerSecond = 100

// cpuOf returns the CPU time of a process so far, and of its children that have ended. pid is a number or "self". It
// needs Linux.
func cpuOf(pid string) (time.Duration, error) {
	fields, err := statOf(pid)
	if err != nil {
		return 0, err
	}
	const first, last = 11, 14 // utime, stime, cutime, cstime
	var ticks int64
	for _, field := range fields[first : last+1] {
		some, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the CPU time of process %s: %w", pid, err)
		}
		ticks += some
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// statOf returns the fields of a process's status that follow its name. The first is its state, the second its parent.
func statOf(pid string) ([]string, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return nil, fmt.Errorf("read the CPU time of process %s, which only Linux reports: %w", pid, err)
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the program's name comes before, and may contain blanks
	const fewest = 15
	fields := strings.Fields(after)
	if len(fields) < fewest {
		return nil, errors.New("read the CPU time of a process: the system reports it in another form")
	}
	return fields, nil
}

// cpuOfServer returns the CPU time of the PostgreSQL server whose processes these are, but without them.
func cpuOfServer(own []string) (time.Duration, error) {
	if len(own) == 0 {
		return 0, errors.New("no process of the server is known")
	}
	fields, err := statOf(own[0])
	if err != nil {
		return 0, err
	}
	server := fields[1]
	name, err := os.ReadFile(filepath.Join("/proc", server, "comm"))
	if err != nil || strings.TrimSpace(string(name)) != "postgres" {
		return 0, errors.New("PostgreSQL does not run on this machine")
	}
	sum, err := cpuOf(server)
	if err != nil {
		return 0, err
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	for _, process := range processes {
		child := filepath.Base(process)
		fields, err := statOf(child)
		if err != nil || fields[1] != server || slices.Contains(own, child) {
			continue // the time of one that has ended meanwhile is counted for the server
		}
		if took, err := cpuOf(child); err == nil {
			sum += took
		}
	}
	return sum, nil
}
