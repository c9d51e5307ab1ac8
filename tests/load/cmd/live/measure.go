package main

import (
	"context"
	"fmt"
	"time"

	"event-streaming-bus/tests/load/internal/subscribe"
	"event-streaming-bus/tests/load/internal/tally"
)

// report is what a group got since it was gathered; latency: since the last report.
type report struct {
	tally.Counts
	Operations int               `json:"operations"`
	Begun      int64             `json:"begun"`
	Ended      int               `json:"ended"`
	Cuts       int64             `json:"cuts"`
	Missing    int64             `json:"missing"`
	Latency    tally.Percentiles `json:"latency"`
	Errors     map[string]int    `json:"errors"`
}

func (g *generator) report(crowd *subscribe.Crowd) report {
	return report{
		Counts:     crowd.Group.Counts(),
		Operations: len(crowd.Group.Operations),
		Begun:      crowd.Begun(),
		Ended:      crowd.Ended(),
		Cuts:       crowd.Cuts.Load(),
		Missing:    crowd.Group.Missing(g.publisher.Count),
		Latency:    crowd.Group.Latency.Take(),
		Errors:     crowd.Errors(),
	}
}

// measured is one run of bursts or at a pace. Late: how late the publisher's own sends were.
type measured struct {
	Delivered int64             `json:"delivered"`
	Bytes     int64             `json:"bytes"`
	Seconds   float64           `json:"seconds"`
	Latency   tally.Percentiles `json:"latency"`
	Late      tally.Percentiles `json:"late"`
}

// bursts publishes one burst, waits until all of it is delivered, and so on: no side is measured while it is overrun.
func (g *generator) bursts(ctx context.Context, crowd *subscribe.Crowd, said *command) (any, error) {
	group := crowd.Group
	begun, bytes, started := group.Delivered.Load(), group.Counts().Bytes, time.Now()
	group.Latency.Take()
	for burst := range said.Bursts {
		keys := make([]string, said.Events)
		for index := range keys {
			keys[index] = said.Keys[(burst*said.Events+index)%len(said.Keys)]
		}
		hit := group.Await(begun + int64(burst+1)*said.Deliver)
		if err := g.publisher.Send(ctx, said.To, g.publisher.Body(said.To, keys, time.Now())); err != nil {
			return nil, err
		}
		if err := g.arrived(ctx, crowd, hit, begun+int64(burst+1)*said.Deliver); err != nil {
			return nil, err
		}
	}
	return measured{
		group.Delivered.Load() - begun, group.Counts().Bytes - bytes, time.Since(started).Seconds(),
		group.Latency.Take(), tally.Percentiles{},
	}, nil
}

// pace publishes at an even pace whether the server keeps up or not, and waits for the last delivery. GoOn: the latency
// is that of the run before, too.
func (g *generator) pace(ctx context.Context, crowd *subscribe.Crowd, said *command) (any, error) {
	group := crowd.Group
	begun, bytes, started := group.Delivered.Load(), group.Counts().Bytes, time.Now()
	if !said.GoOn {
		g.publisher.Open(ctx, said.To, min(connections, len(said.Keys)))
		group.Latency.Take()
		g.late.Take()
	}
	hit := group.Await(begun + said.Deliver)
	late := func(took time.Duration) { g.late.Record(took, 0) }
	err := g.publisher.Pace(ctx, said.To, said.Keys, said.PerSecond, said.Events, min(connections, len(said.Keys)), late)
	if err != nil {
		return nil, err
	}
	if err := g.arrived(ctx, crowd, hit, begun+said.Deliver); err != nil {
		return nil, err
	}
	return measured{
		group.Delivered.Load() - begun, group.Counts().Bytes - bytes, time.Since(started).Seconds(),
		group.Latency.Read(), g.late.Read(),
	}, nil
}

func (g *generator) arrived(ctx context.Context, crowd *subscribe.Crowd, hit <-chan struct{}, wanted int64) error {
	select {
	case <-hit:
		return nil
	case <-ctx.Done():
		missing := wanted - crowd.Group.Delivered.Load()
		return fmt.Errorf("%d deliveries did not arrive in time: %v", missing, crowd.Errors())
	}
}
