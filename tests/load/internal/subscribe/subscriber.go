package subscribe

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"event-streaming-bus/tests/load/internal/socket"
	"event-streaming-bus/tests/load/internal/tally"
)

const (
	patience  = 20 * time.Second // for a handshake
	retryFrom = 20 * time.Millisecond
	retryTo   = 500 * time.Millisecond
)

// ended says that the server ended an operation by itself.
type ended struct{ why string }

func (e ended) Error() string { return "operation ended: " + e.why }

// dialect is a protocol: begin returns once everything is asked for, take counts what one message carries.
type dialect interface {
	subprotocol() string
	begin(*socket.Conn) error
	take(conn *socket.Conn, message []byte, now time.Time) error
}

// subscriber is one socket with its operations; connected again after every cut, where the plan says so.
type subscriber struct {
	plan         *Plan
	group        *tally.Group
	first, count int // its operations in the group
	source       net.IP
	dialect      dialect
	gate         *gate
	seen         atomic.Int64

	mu     sync.Mutex
	conn   *socket.Conn
	parked bool
	wake   chan struct{}
}

func (s *subscriber) operation(index int) *tally.Operation { return s.group.Operations[s.first+index] }

// run until the context ends; began is called after each successful beginning, failed with what ended a connection.
func (s *subscriber) run(ctx context.Context, turn chan struct{}, began func(), failed func(error)) {
	pause := retryFrom
	for ctx.Err() == nil {
		s.wait(ctx)
		conn, err := s.connect(ctx, turn)
		if err == nil {
			pause = retryFrom
			began()
			err = s.read(ctx, conn)
		}
		if ctx.Err() != nil {
			return
		}
		failed(err)
		if !s.plan.Resume {
			return
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
		}
		pause = min(2*pause, retryTo)
	}
}

// connect takes its turn, so that a server is not asked by more at once than the plan says.
func (s *subscriber) connect(ctx context.Context, turn chan struct{}) (*socket.Conn, error) {
	if turn != nil {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	conn, err := socket.Dial(ctx, socket.Options{
		URL: s.plan.URL, Protocol: s.dialect.subprotocol(), Source: s.source, ReceiveBuffer: s.plan.ReceiveBuffer,
		Timeout: patience,
	})
	if err != nil {
		return nil, err
	}
	conn.Deadline(time.Now().Add(patience))
	if !s.hold(conn) || ctx.Err() != nil {
		conn.Reset()
		return nil, errors.New("cut while connecting")
	}
	if err := s.dialect.begin(conn); err != nil {
		conn.Reset()
		return nil, err
	}
	return conn, nil
}

func (s *subscriber) read(ctx context.Context, conn *socket.Conn) error {
	defer conn.Reset()
	var deadline time.Time
	for {
		if !s.gate.pass(ctx) {
			return ctx.Err()
		}
		now := time.Now()
		if now.Sub(deadline) > -socket.Silence/2 { // not a system call for every message
			deadline = now.Add(socket.Silence)
			conn.Deadline(deadline)
		}
		message, err := conn.Next()
		if err != nil {
			return err
		}
		if err := s.dialect.take(conn, message, time.Now()); err != nil {
			return err
		}
	}
}

// hold makes the connection the one that cut cuts; false where it shall not be.
func (s *subscriber) hold(conn *socket.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
	return !s.parked
}

// cut its connection with a TCP reset; it comes back by itself unless it is parked.
func (s *subscriber) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Reset()
	}
}

// park it: cut, and not connected again before unpark.
func (s *subscriber) park() {
	s.mu.Lock()
	if !s.parked {
		s.parked, s.wake = true, make(chan struct{})
	}
	s.mu.Unlock()
	s.cut()
}

func (s *subscriber) unpark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parked {
		s.parked = false
		close(s.wake)
	}
}

func (s *subscriber) wait(ctx context.Context) {
	s.mu.Lock()
	parked, wake := s.parked, s.wake
	s.mu.Unlock()
	if parked {
		select {
		case <-wake:
		case <-ctx.Done():
		}
	}
}
