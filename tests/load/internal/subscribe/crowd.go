package subscribe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"event-streaming-bus/tests/load/internal/tally"
)

// Crowd is a group of subscribers that run.
type Crowd struct {
	Group *tally.Group
	Cuts  atomic.Int64

	plan        Plan
	subscribers []*subscriber
	gate        *gate
	begun       atomic.Int64
	cancel      context.CancelFunc
	running     sync.WaitGroup

	mu     sync.Mutex
	errors map[string]int
	ended  int
}

// Gather connects a plan's sockets; returns when all have begun. Those that fail before are tried again until the
// context ends, where the plan resumes.
func Gather(ctx context.Context, plan Plan) (*Crowd, error) {
	crowd := &Crowd{plan: plan, gate: newGate(), errors: map[string]int{}}
	crowd.Group = &tally.Group{Latency: tally.NewLatency()}
	own, cancel := context.WithCancel(context.Background())
	crowd.cancel = cancel
	var turn chan struct{}
	if plan.Together > 0 {
		turn = make(chan struct{}, plan.Together)
	}
	per := max(1, plan.PerSocket)
	for number := range plan.Sockets * per {
		operation := &tally.Operation{Key: plan.Keys[number%len(plan.Keys)], Anywhere: plan.Anywhere}
		if plan.Places {
			operation.ByPlaces()
		}
		crowd.Group.Operations = append(crowd.Group.Operations, operation)
	}
	var first sync.WaitGroup
	for number := range plan.Sockets {
		one := &subscriber{plan: &crowd.plan, group: crowd.Group, first: number * per, count: per, gate: crowd.gate}
		if plan.Sources > 0 {
			one.source = net.IPv4(127, 0, 0, byte(2+number%plan.Sources))
		}
		switch plan.Protocol {
		case "centrifuge-json":
			one.dialect = centrifuge{one, false}
		case "centrifuge-protobuf":
			one.dialect = centrifuge{one, true}
		default:
			one.dialect = graphql{one}
		}
		crowd.subscribers = append(crowd.subscribers, one)
		crowd.running.Add(1)
		first.Add(1)
		go crowd.keep(own, one, turn, sync.OnceFunc(first.Done))
	}
	done := make(chan struct{})
	go func() { first.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	if begun := crowd.begun.Load(); begun < int64(plan.Sockets) {
		crowd.Scatter()
		return nil, fmt.Errorf("%s: %d of %d sockets began: %v", plan.Name, begun, plan.Sockets, crowd.Errors())
	}
	return crowd, nil
}

func (c *Crowd) keep(ctx context.Context, one *subscriber, turn chan struct{}, first func()) {
	defer c.running.Done()
	defer first()
	one.run(ctx, turn, func() { c.begun.Add(1); first() }, c.failed)
}

func (c *Crowd) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := err.Error()
	if errors.As(err, &ended{}) {
		c.ended++
	} else if _, after, found := strings.Cut(text, "->"); found { // drop the address of this side: one entry a cause
		_, text, _ = strings.Cut(after, ": ")
	}
	if len(c.errors) < 50 {
		c.errors[text]++
	}
}

// Begun is how many beginnings there were, of all sockets.
func (c *Crowd) Begun() int64 { return c.begun.Load() }

// Errors that ended connections, and how often.
func (c *Crowd) Errors() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	copied := make(map[string]int, len(c.errors))
	for text, count := range c.errors {
		copied[text] = count
	}
	return copied
}

// Ended is how many operations the server ended.
func (c *Crowd) Ended() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Stall stops reading from the sockets, or goes on.
func (c *Crowd) Stall(stalled bool) { c.gate.set(!stalled) }

// Park cuts all and keeps them away; Unpark lets them all come back at once.
func (c *Crowd) Park() {
	for _, one := range c.subscribers {
		one.park()
	}
}

// Unpark lets them come back.
func (c *Crowd) Unpark() {
	for _, one := range c.subscribers {
		one.unpark()
	}
}

// Cut random sockets at that rate until the context ends.
func (c *Crowd) Cut(ctx context.Context, perSecond float64) {
	for ctx.Err() == nil {
		// Exponential pauses: cuts come in bunches too, as in life.
		select {
		case <-time.After(time.Duration(rand.ExpFloat64() / perSecond * float64(time.Second))):
			c.subscribers[rand.IntN(len(c.subscribers))].cut()
			c.Cuts.Add(1)
		case <-ctx.Done():
		}
	}
}

// Scatter ends all.
func (c *Crowd) Scatter() {
	c.cancel()
	c.gate.set(true)
	for _, one := range c.subscribers {
		one.cut()
	}
	c.running.Wait()
}
