package subscribe

import (
	"context"
	"sync"
)

// gate lets readers pass while it is open; behind a closed one nothing is read from the sockets.
type gate struct {
	mu   sync.Mutex
	open chan struct{}
}

func newGate() *gate {
	made := &gate{open: make(chan struct{})}
	close(made.open)
	return made
}

func (g *gate) pass(ctx context.Context) bool {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return true
	case <-ctx.Done():
		return false
	}
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		if !open {
			g.open = make(chan struct{})
		}
	default:
		if open {
			close(g.open)
		}
	}
}
