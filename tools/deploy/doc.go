// Package deploy has no code of its own: its tests check what Baton is deployed with and released as. The manifests
// of deploy/ are held against the schemas of Kubernetes, KEDA, the Prometheus Operator and Compose, the container's
// definition against BuildKit's parser, and every variable that they set against what the programs read. It is a
// module of its own, for nothing of Baton's needs those libraries. No cluster and no container runs here.
package deploy
