// Package deploy has only tests. They check the files that Baton is deployed and released with: the manifests of
// deploy/ against the schemas of Kubernetes, KEDA, the Prometheus Operator and Compose; the container definition
// with BuildKit's parser; and every variable that they set against what the programs read. It is a separate module
// because Baton itself does not need those libraries. It runs no cluster and no container.
package deploy
