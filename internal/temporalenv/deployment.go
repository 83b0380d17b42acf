package temporalenv

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Deployment is the Temporal worker deployment and version of a worker.
type Deployment struct {
	// Name is the name of the deployment. Empty means an unversioned worker, which takes every task.
	Name string
	// BuildID is the ID of the version. Unversioned workers have one too: histories record which build did the
	// work.
	BuildID string
	// Pinned keeps each conversation on the version that it started on. By default it moves on to the current
	// version, because conversations last for days, and a build that can replay them can continue them.
	Pinned bool
}

// Options returns the deployment options of the worker.
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
