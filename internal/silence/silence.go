// Package silence is a TCP proxy whose connections can go silent, as after the loss of a network or a machine: they
// stay open, and no more data arrives. Tests and make chaos use it; programs do not import it.
package silence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Direction says which data a silent connection drops.
type Direction int

// Both drops the data of both sides, ToServer that of the client, ToClient that of the server.
const (
	Both Direction = iota
	ToServer
	ToClient
)

// Proxy forwards every connection to one address.
type Proxy struct {
	listener net.Listener
	target   string

	mutex   sync.Mutex
	open    map[*pair]bool
	running sync.WaitGroup
}

// Listen starts a proxy on a free port of 127.0.0.1 for the address of a server.
func Listen(ctx context.Context, target string) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", target, err)
	}
	p := &Proxy{listener: listener, target: target, open: map[*pair]bool{}}
	p.running.Go(p.accept)
	return p, nil
}

// Address returns the address that the proxy listens on.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Silence makes all connections that are open now drop data until they close, and returns how many there are. Later
// connections work.
func (p *Proxy) Silence(direction Direction) int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for c := range p.open {
		c.silence(direction)
	}
	return len(p.open)
}

// Close ends the proxy and every connection.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mutex.Lock()
	for c := range p.open {
		c.close()
	}
	p.mutex.Unlock()
	p.running.Wait()
	if err != nil {
		return fmt.Errorf("close the proxy: %w", err)
	}
	return nil
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.Dial("tcp", p.target) //nolint:noctx // ends with the proxy
		if err != nil {
			_ = client.Close() // like a server that is not running
			continue
		}
		c := &pair{client: client, server: server}
		p.mutex.Lock()
		p.open[c] = true
		p.mutex.Unlock()
		p.running.Go(func() { c.pass(server, client, ToServer) })
		p.running.Go(func() {
			c.pass(client, server, ToClient)
			p.mutex.Lock()
			delete(p.open, c)
			p.mutex.Unlock()
		})
	}
}

// pair is a client's connection and the proxy's connection to the server.
type pair struct {
	client, server net.Conn

	mutex  sync.Mutex
	silent map[Direction]bool
}

func (c *pair) silence(direction Direction) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.silent = map[Direction]bool{ToServer: direction != ToClient, ToClient: direction != ToServer}
}

func (c *pair) swallows(direction Direction) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.silent[direction]
}

func (c *pair) close() {
	_ = c.client.Close() // already closed is fine too
	_ = c.server.Close()
}

// pass copies data in one direction until either side closes. A silent connection drops the close too.
func (c *pair) pass(to io.Writer, from io.Reader, direction Direction) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !c.swallows(direction) {
			if _, failed := to.Write(buffer[:n]); failed != nil {
				err = errors.Join(err, failed)
			}
		}
		if err != nil {
			if !c.swallows(direction) {
				c.close()
			}
			return
		}
	}
}
