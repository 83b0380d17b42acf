// Package build identifies the build of a program: its version, and the build ID that distinguishes the workers of
// a Temporal worker deployment. It reads what the Go toolchain has written into the program. Must not import: other
// packages of Baton. It does not read flags or the environment.
package build

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
)

// version and id are the version and the build ID, if the linker sets them: go build -ldflags "-X
// github.com/baton-transfers/baton/internal/build.id=…". A release sets both (tools/release).
var version, id string

// Info identifies a build.
type Info struct {
	// Version is the version of the release or module, such as v1.2.0, or "development".
	Version string `json:"version"`
	// ID is the build ID; see [Read].
	ID string `json:"build_id"`
	// Go is the version of the toolchain, Platform the target, such as linux/amd64.
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// String returns one line for display.
func (i Info) String() string {
	return fmt.Sprintf("%s, build %s, %s %s", i.Version, i.ID, i.Go, i.Platform)
}

// Read returns the build of this program. The ID is never empty, and differs for different code. It is the ID that
// the linker has set, else the first twelve digits of the commit. If the checkout was modified or the commit is
// unknown, it includes a digest of the program.
func Read() (Info, error) {
	info := Info{Version: "development", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	read, ok := debug.ReadBuildInfo()
	if !ok {
		read = &debug.BuildInfo{}
	}
	if read.Main.Version != "(devel)" {
		info.Version = cmp.Or(read.Main.Version, info.Version)
	}
	info.Version = cmp.Or(version, info.Version)
	var err error
	if info.ID, err = idOf(read, id, digest); err != nil {
		return info, fmt.Errorf("tell which build this is: %w", err)
	}
	return info, nil
}

// shortened is how many hex digits of a commit or a digest are used.
const shortened = 12

func idOf(read *debug.BuildInfo, linked string, digest func() (string, error)) (string, error) {
	if linked != "" {
		return linked, nil
	}
	settings := map[string]string{}
	for _, setting := range read.Settings {
		settings[setting.Key] = setting.Value
	}
	commit := settings["vcs.revision"]
	commit = commit[:min(len(commit), shortened)]
	if commit != "" && settings["vcs.modified"] == "false" {
		return commit, nil
	}
	if commit == "" && read.Main.Version != "" && read.Main.Version != "(devel)" {
		return read.Main.Version, nil
	}
	program, err := digest()
	if err != nil {
		return "", err
	}
	return cmp.Or(commit, "unknown") + "-modified-" + program, nil
}

// digest returns the digest of the running program.
func digest() (_ string, err error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	program, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	defer func() { err = errors.Join(err, program.Close()) }()
	sum := sha256.New()
	if _, err := io.Copy(sum, program); err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:shortened], nil
}
