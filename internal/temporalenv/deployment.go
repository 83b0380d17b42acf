package temporalenv

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Deployment says which version of which Temporal worker deployment a worker is.
type Deployment struct {
	// Name is the deployment's; empty: the worker isn't versioned, and takes whatever comes.
	Name string
	// BuildID is the version's. A worker that isn't versioned has one too: histories tell which build was at work.
	BuildID string
	// Pinned keeps a conversation with the version that it has begun on. By default it moves on to the current one:
	// conversations last for days, and a build that replays them may carry them.
	Pinned bool
}

// Options are the worker's.
func (d Deployment) Options() worker.DeploymentOptions {
	options := worker.DeploymentOptions{Version: worker.WorkerDeploymentVersion{DeploymentName: d.Name, BuildID: d.BuildID}}
	if d.Name == "" {
		return options
	}
	options.UseVersioning, options.DefaultVersioningBehavior = true, workflow.VersioningBehaviorAutoUpgrade
	if d.Pinned {
		options.DefaultVersioningBehavior = workflow.VersioningBehaviorPinned
	}
	return options
}
