//go:build !unix

package main

import "errors"

var errNoStop = errors.New("a process can't be made to stand still on this system: run chaos on Linux or macOS")

func (p *process) stop() error    { return errNoStop }
func (p *process) proceed() error { return errNoStop }
