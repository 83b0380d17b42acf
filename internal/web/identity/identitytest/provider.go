// Package identitytest runs a real OpenID provider, the one in tools/provider, for tests. Must not import: the
// packages under test.
package identitytest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Password is the password of every user, Secret the secret of every client.
const (
	Password = "correct horse"
	Secret   = "secret"
)

// Provider is a running provider.
type Provider struct {
	// Issuer is its issuer URL.
	Issuer string

	command *exec.Cmd
}

// Options describe where a provider listens and which of Baton's addresses it knows.
type Options struct {
	// Address is the address to listen on; empty means a free port of 127.0.0.1.
	Address                string
	Redirect, SignedOutURL string
}

// Program is the path of a provider's executable.
type Program string

// Build builds the program in the folder. It takes a second or two, and longer the first time.
func Build(ctx context.Context, folder string) (Program, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("the folder tools/provider isn't found: run the tests from a checkout")
	}
	command := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-o", filepath.Join(folder, "provider"), ".")
	command.Dir = filepath.Join(filepath.Dir(here), "..", "..", "..", "..", "tools", "provider")
	command.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the provider of tools/provider: %w: %s", err, output)
	}
	return Program(filepath.Join(folder, "provider")), nil
}

// Start starts a provider and returns when it listens.
func (program Program) Start(ctx context.Context, o Options) (*Provider, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	p := &Provider{}
	p.command = exec.CommandContext(context.WithoutCancel(ctx), string(program),
		"--listen", o.Address, "--redirect", o.Redirect, "--signed-out", o.SignedOutURL)
	var log bytes.Buffer
	p.command.Stderr = &log
	output, err := p.command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("read from the provider: %w", err)
	}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start the provider: %w", err)
	}
	issuer, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the provider has ended: %w: %s", errors.Join(err, p.command.Wait()), log.String())
	}
	p.Issuer = strings.TrimSpace(issuer)
	return p, nil
}

// Stop stops the provider, which loses its state.
func (p *Provider) Stop() error {
	if err := p.command.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("stop the provider: %w", err)
	}
	if err := p.command.Wait(); err != nil {
		return fmt.Errorf("the provider has not ended well: %w", err)
	}
	return nil
}
