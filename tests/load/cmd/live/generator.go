package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"event-streaming-bus/tests/load/internal/publish"
	"event-streaming-bus/tests/load/internal/subscribe"
	"event-streaming-bus/tests/load/internal/tally"
)

const connections = 64

// command is one line of input; what each needs stands beside its name in `do`.
type command struct {
	Do      string          `json:"do"`
	Plan    subscribe.Plan  `json:"plan"`
	Group   string          `json:"group"`
	To      *publish.Target `json:"to"`
	Keys    []string        `json:"keys"`
	Seconds float64         `json:"seconds"`

	Events    int     `json:"events"`
	Bursts    int     `json:"bursts"`
	Deliver   int64   `json:"deliver"`
	PerSecond float64 `json:"per_second"`
	Writers   int     `json:"writers"`
	Batch     int     `json:"batch"`
	Stalled   bool    `json:"stalled"`
	GoOn      bool    `json:"go_on"`
}

// generator is what runs now: groups of subscribers by name, one publisher, and what goes on in the background.
type generator struct {
	crowds    map[string]*subscribe.Crowd
	publisher *publish.Publisher
	late      *tally.Latency
	chaos     map[string]func()
	writing   chan error
}

func newGenerator() *generator {
	return &generator{
		crowds:    map[string]*subscribe.Crowd{},
		publisher: publish.New(connections),
		late:      tally.NewLatency(),
		chaos:     map[string]func(){},
	}
}

func (g *generator) do(line []byte) (any, error) {
	var said command
	if err := json.Unmarshal(line, &said); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(said.Seconds*float64(time.Second)))
	defer cancel()
	if said.Do == "gather" { // plan, seconds
		return g.gather(ctx, said.Plan)
	}
	if said.Do == "publish" { // to, keys, events, batch, writers, per_second: begins, and goes on in the background
		return g.publish(&said)
	}
	if said.Do == "published" { // seconds: until it is over
		return g.published(ctx)
	}
	if said.Do == "progress" {
		return map[string]int64{"sent": g.publisher.Sent.Load(), "retries": g.publisher.Retries.Load()}, nil
	}
	crowd, known := g.crowds[said.Group]
	if !known {
		return nil, fmt.Errorf("no group %q", said.Group)
	}
	switch said.Do {
	case "hear": // group, to, keys, seconds: publish to the keys until every operation has heard something
		return map[string]int{"rounds": 0}, g.hear(ctx, crowd, &said)
	case "bursts": // group, to, keys, bursts, events, deliver, seconds
		return g.bursts(ctx, crowd, &said)
	case "pace": // group, to, keys, per_second, events, deliver, seconds, go_on
		return g.pace(ctx, crowd, &said)
	case "settle": // group, seconds: until nothing is missing
		return g.settle(ctx, crowd)
	case "report": // group
		return g.report(crowd), nil
	case "stall": // group, stalled
		crowd.Stall(said.Stalled)
	case "park": // group
		crowd.Park()
	case "unpark": // group
		crowd.Unpark()
	case "cut": // group, per_second; 0 ends it
		g.cut(crowd, &said)
	case "scatter": // group
		g.stopCutting(said.Group)
		delete(g.crowds, said.Group)
		crowd.Scatter()
	default:
		return nil, fmt.Errorf("no command %q", said.Do)
	}
	return struct{}{}, nil
}

func (g *generator) gather(ctx context.Context, plan subscribe.Plan) (any, error) {
	started := time.Now()
	crowd, err := subscribe.Gather(ctx, plan)
	if err != nil {
		return nil, err
	}
	g.crowds[plan.Name] = crowd
	return map[string]float64{"seconds": time.Since(started).Seconds()}, nil
}

func (g *generator) publish(said *command) (any, error) {
	if g.writing != nil {
		return nil, fmt.Errorf("publishing already")
	}
	g.writing = make(chan error, 1)
	order := *said
	go func() {
		ctx := context.Background()
		g.writing <- g.publisher.All(ctx, order.To, order.Keys, order.Events, order.Batch, order.Writers, order.PerSecond)
	}()
	return struct{}{}, nil
}

func (g *generator) published(ctx context.Context) (any, error) {
	select {
	case err := <-g.writing:
		g.writing = nil
		return map[string]int64{"sent": g.publisher.Sent.Load(), "retries": g.publisher.Retries.Load()}, err
	case <-ctx.Done():
		return nil, fmt.Errorf("after the time %d events were published", g.publisher.Sent.Load())
	}
}

func (g *generator) hear(ctx context.Context, crowd *subscribe.Crowd, said *command) error {
	crowd.Group.Forget()
	for crowd.Group.Silent() > 0 {
		// One event of each key, in requests of 10: peers that copy each message to each subscriber need a pause too.
		for first := 0; first < len(said.Keys); first += 10 {
			some := said.Keys[first:min(len(said.Keys), first+10)]
			if err := g.publisher.Send(ctx, said.To, g.publisher.Body(said.To, some, time.Now())); err != nil {
				return err
			}
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d operations heard nothing: %v", crowd.Group.Silent(), crowd.Errors())
		}
	}
	// What is still under way must not be counted as what follows.
	for before := int64(-1); before != crowd.Group.Delivered.Load(); {
		before = crowd.Group.Delivered.Load()
		time.Sleep(300 * time.Millisecond)
	}
	return nil
}

func (g *generator) settle(ctx context.Context, crowd *subscribe.Crowd) (any, error) {
	for crowd.Group.Missing(g.publisher.Count) > 0 && ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
	}
	return g.report(crowd), nil
}

func (g *generator) cut(crowd *subscribe.Crowd, said *command) {
	g.stopCutting(said.Group)
	if said.PerSecond > 0 {
		ctx, cancel := context.WithCancel(context.Background())
		g.chaos[said.Group] = cancel
		go crowd.Cut(ctx, said.PerSecond)
	}
}

func (g *generator) stopCutting(group string) {
	if stop, running := g.chaos[group]; running {
		stop()
		delete(g.chaos, group)
	}
}
