package deskload

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"time"
)

// proxy is between the callers and PostgreSQL. It delays everything that it passes to the server, so that each round
// trip takes longer by the latency, and counts round trips and statements.
type proxy struct {
	listener net.Listener
	server   string
	latency  time.Duration
	// trips counts the requests after which a client waits, statements the executions.
	trips, statements atomic.Int64
}

// startProxy starts a proxy to the database, and returns it with the database's address through it.
func startProxy(ctx context.Context, database string, latency time.Duration) (*proxy, string, error) {
	at, err := url.Parse(database)
	if err != nil {
		return nil, "", fmt.Errorf("read the database's address: %w", err)
	}
	p := &proxy{server: at.Host, latency: latency}
	if p.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, "", fmt.Errorf("listen for the callers: %w", err)
	}
	at.Host = p.listener.Addr().String()
	go p.accept(ctx)
	return p, at.String(), nil
}

// close stops the proxy. Its connections end with those of the callers.
func (p *proxy) close() error {
	if err := p.listener.Close(); err != nil {
		return fmt.Errorf("stop the proxy: %w", err)
	}
	return nil
}

func (p *proxy) accept(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // it was closed
		}
		go p.serve(ctx, client)
	}
}

// chunk is what a client has sent, and when it is to reach the server.
type chunk struct {
	due   time.Time
	bytes []byte
}

// chunksOnTheWay and chunkSize bound what is on the way to the server.
const chunksOnTheWay, chunkSize = 256, 32 << 10

func (p *proxy) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.server)
	if err != nil {
		return
	}
	chunks := make(chan chunk, chunksOnTheWay)
	go func() {
		defer close(chunks)
		requests := &requests{proxy: p}
		for {
			buffer := make([]byte, chunkSize)
			n, err := client.Read(buffer)
			if n > 0 {
				requests.read(buffer[:n])
				chunks <- chunk{time.Now().Add(p.latency), buffer[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		defer server.Close()
		for c := range chunks {
			pauseUntil(c.due)
			_, _ = server.Write(c.bytes) // a lost server ends the copy below, which ends the client
		}
	}()
	_, _ = io.Copy(client, server)
}

// requests counts the messages of PostgreSQL's protocol that a client sends: a letter, a length that includes itself,
// and as many bytes. The first message has no letter.
type requests struct {
	proxy   *proxy
	head    []byte
	left    int
	started bool
}

const lengthSize = 4

func (m *requests) read(bytes []byte) {
	for len(bytes) > 0 {
		if m.left > 0 {
			some := min(m.left, len(bytes))
			m.left -= some
			bytes = bytes[some:]
			continue
		}
		m.head = append(m.head, bytes[0])
		bytes = bytes[1:]
		letters := 0
		if m.started {
			letters = 1
		}
		if len(m.head) < letters+lengthSize {
			continue
		}
		m.left = int(binary.BigEndian.Uint32(m.head[letters:])) - lengthSize
		if m.started {
			m.count(m.head[0])
		}
		m.started, m.head = true, m.head[:0]
	}
}

func (m *requests) count(letter byte) {
	switch letter {
	case 'Q': // a simple query
		m.proxy.trips.Add(1)
		m.proxy.statements.Add(1)
	case 'E': // execute
		m.proxy.statements.Add(1)
	case 'S': // sync: the client waits
		m.proxy.trips.Add(1)
	}
}
