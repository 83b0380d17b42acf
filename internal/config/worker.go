package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// Worker configures a worker's deployment version and its cache.
type Worker struct {
	// Deployment is BATON_DEPLOYMENT: the name of the Temporal worker deployment; empty means an unversioned
	// worker.
	Deployment string
	// BuildID is BATON_BUILD_ID: the version within the deployment; empty means the build's own ID.
	BuildID string
	// Pinned is BATON_VERSIONING=pinned: a conversation stays on the version that it started on. By default
	// (BATON_VERSIONING=auto-upgrade) it moves on to the current version.
	Pinned bool
	// Cached is BATON_CACHED_CONVERSATIONS: how many open conversations a worker keeps in memory; zero means the
	// default.
	Cached int
}

// fewestCached is the minimum that a worker needs to work on several conversations at once.
const fewestCached = 100

// The names of deployments and builds. Temporal separates the two with a dot or a colon.
var (
	deploymentName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	buildID        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)
)

// LoadWorker reads the worker's environment.
func LoadWorker(getenv func(string) string) (Worker, error) {
	w := Worker{Deployment: getenv("BATON_DEPLOYMENT"), BuildID: getenv("BATON_BUILD_ID")}
	if w.Deployment != "" && !deploymentName.MatchString(w.Deployment) {
		return w, fmt.Errorf("BATON_DEPLOYMENT is %q: use up to 64 letters, digits, - and _, as in baton", w.Deployment)
	}
	if w.BuildID != "" && !buildID.MatchString(w.BuildID) {
		return w, fmt.Errorf("BATON_BUILD_ID is %q: use up to 128 letters, digits, and any of . _ + -, as in v1.2.0", w.BuildID)
	}
	switch versioning := getenv("BATON_VERSIONING"); versioning {
	case "", "auto-upgrade":
	case "pinned":
		w.Pinned = true
	default:
		return w, fmt.Errorf("BATON_VERSIONING is %q: set it to auto-upgrade or pinned", versioning)
	}
	if given := getenv("BATON_CACHED_CONVERSATIONS"); given != "" {
		cached, err := strconv.Atoi(given)
		if err != nil || cached < fewestCached {
			return w, fmt.Errorf("BATON_CACHED_CONVERSATIONS is %q: set it to a number from %d on, as 20000; each takes some 40 kB of memory", given, fewestCached)
		}
		w.Cached = cached
	}
	if w.Pinned && w.Deployment == "" {
		return w, errors.New("BATON_VERSIONING is pinned, which holds only within a deployment: name it in BATON_DEPLOYMENT, as baton")
	}
	return w, nil
}
