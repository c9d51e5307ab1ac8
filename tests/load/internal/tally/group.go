package tally

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const shards = 8

// Latency in microseconds, up to two minutes, three digits.
type Latency struct {
	shards [shards]struct {
		mu        sync.Mutex
		histogram *hdrhistogram.Histogram
	}
}

// NewLatency is empty.
func NewLatency() *Latency {
	made := &Latency{}
	for index := range made.shards {
		made.shards[index].histogram = hdrhistogram.New(1, 120_000_000, 3)
	}
	return made
}

// Record one; hint spreads writers.
func (l *Latency) Record(took time.Duration, hint int) {
	shard := &l.shards[hint%shards]
	shard.mu.Lock()
	_ = shard.histogram.RecordValue(min(120_000_000, max(1, took.Microseconds())))
	shard.mu.Unlock()
}

// Percentiles in milliseconds.
type Percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

// Take gives the percentiles since the last call and starts anew.
func (l *Latency) Take() Percentiles { return l.percentiles(true) }

// Read gives the percentiles since the last Take.
func (l *Latency) Read() Percentiles { return l.percentiles(false) }

func (l *Latency) percentiles(anew bool) Percentiles {
	all := hdrhistogram.New(1, 120_000_000, 3)
	for index := range l.shards {
		shard := &l.shards[index]
		shard.mu.Lock()
		all.Merge(shard.histogram)
		if anew {
			shard.histogram.Reset()
		}
		shard.mu.Unlock()
	}
	at := func(percent float64) float64 { return float64(all.ValueAtQuantile(percent)) / 1000 }
	return Percentiles{all.TotalCount(), at(50), at(95), at(99), at(99.9), float64(all.Max()) / 1000}
}

// Group of operations that are reported together. Delivered counts all of their events.
type Group struct {
	Operations []*Operation
	Latency    *Latency
	Delivered  atomic.Int64

	mu     sync.Mutex
	target atomic.Int64 // 0: nobody waits
	hit    chan struct{}
}

// Take counts one event of the operation.
func (g *Group) Take(index int, number int64, place Place, at time.Time, now time.Time, size int) {
	g.Operations[index].Take(number, place, size)
	if !at.IsZero() {
		g.Latency.Record(now.Sub(at), index)
	}
	delivered := g.Delivered.Add(1)
	if target := g.target.Load(); target > 0 && delivered >= target {
		g.reached()
	}
}

// Await is closed once so many events in all have been delivered.
func (g *Group) Await(total int64) <-chan struct{} {
	g.mu.Lock()
	g.hit = make(chan struct{})
	hit := g.hit
	g.target.Store(max(1, total))
	g.mu.Unlock()
	if g.Delivered.Load() >= total {
		g.reached()
	}
	return hit
}

func (g *Group) reached() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hit != nil && g.Delivered.Load() >= g.target.Load() {
		close(g.hit)
		g.hit = nil
		g.target.Store(0)
	}
}

// Counts of all operations.
func (g *Group) Counts() Counts {
	var all Counts
	for _, operation := range g.Operations {
		all.add(operation.Counts())
	}
	return all
}

// Silent is how many operations have heard nothing.
func (g *Group) Silent() (count int) {
	for _, operation := range g.Operations {
		if !operation.Heard() {
			count++
		}
	}
	return
}

// Forget lets all listen anew.
func (g *Group) Forget() {
	for _, operation := range g.Operations {
		operation.Forget()
	}
}

// Missing of all operations, given how many events each key has.
func (g *Group) Missing(published func(key string) int64) (count int64) {
	for _, operation := range g.Operations {
		count += operation.Missing(published(operation.Key))
	}
	return
}
