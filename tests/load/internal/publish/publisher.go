// Package publish sends numbered events over HTTP: one burst at a time, at a pace, or until every one is acknowledged.
package publish

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const timeout = 10 * time.Second

// Target is where and how events are sent: a body is Head, the items with Between between them, Tail. In an item $SEQ
// stands for its number, $KEY for its key, $AT for the time in microseconds, $ID for 26 characters of its own.
type Target struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Head    string            `json:"head"`
	Item    string            `json:"item"`
	Between string            `json:"between"`
	Tail    string            `json:"tail"`
	// What an answer contains where everything was accepted, and what it does not.
	Accepted string `json:"accepted"`
	Refused  string `json:"refused"`
}

// Publisher numbers the events of each key from 1, in the order they are sent.
type Publisher struct {
	client  *http.Client
	mu      sync.Mutex
	numbers map[string]int64
	ids     atomic.Int64
	Retries atomic.Int64
	Sent    atomic.Int64
}

// New publisher with so many connections.
func New(connections int) *Publisher {
	transport := &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections, DisableCompression: true}
	made := &Publisher{client: &http.Client{Transport: transport, Timeout: timeout}, numbers: map[string]int64{}}
	made.ids.Store(time.Now().UnixMilli() * 1_000_000)
	return made
}

// Count of the events of a key.
func (p *Publisher) Count(key string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.numbers[key]
}

// Body of a request with one event of each key, as of that moment; it takes the numbers.
func (p *Publisher) Body(to *Target, keys []string, at time.Time) []byte {
	var body bytes.Buffer
	body.WriteString(to.Head)
	stamp := strconv.FormatInt(at.UnixMicro(), 10)
	for index, key := range keys {
		if index > 0 {
			body.WriteString(to.Between)
		}
		p.mu.Lock()
		p.numbers[key]++
		number := p.numbers[key]
		p.mu.Unlock()
		id := fmt.Sprintf("%026d", p.ids.Add(1))
		fill := strings.NewReplacer("$SEQ", strconv.FormatInt(number, 10), "$KEY", key, "$AT", stamp, "$ID", id)
		_, _ = fill.WriteString(&body, to.Item)
	}
	body.WriteString(to.Tail)
	return body.Bytes()
}

// Send one request; an error unless everything was accepted.
func (p *Publisher) Send(ctx context.Context, to *Target, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, value := range to.Headers {
		request.Header.Set(name, value)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	refused := to.Refused != "" && bytes.Contains(said, []byte(to.Refused))
	if answer.StatusCode/100 != 2 || refused || !bytes.Contains(said, []byte(to.Accepted)) {
		return fmt.Errorf("status %d: %.300s", answer.StatusCode, said)
	}
	return nil
}

// Persist sends the same request until it is accepted.
func (p *Publisher) Persist(ctx context.Context, to *Target, body []byte) error {
	for {
		err := p.Send(ctx, to, body)
		if err == nil {
			return nil
		}
		p.Retries.Add(1)
		select {
		case <-time.After(50*time.Millisecond + rand.N(150*time.Millisecond)):
		case <-ctx.Done():
			return err
		}
	}
}

// All publishes so many events in batches by several writers, each with keys of its own and one request at a time, so
// that a key's numbers lie in the log in order. perSecond 0: as fast as it goes.
func (p *Publisher) All(ctx context.Context, to *Target, keys []string, events, batch, writers int, perSecond float64) error {
	var all sync.WaitGroup
	failures := make(chan error, writers)
	var left atomic.Int64
	left.Store(int64(events))
	started := time.Now()
	for writer := range writers {
		mine := []string{}
		for index := writer; index < len(keys); index += writers {
			mine = append(mine, keys[index])
		}
		all.Add(1)
		go func() {
			defer all.Done()
			for next := 0; left.Add(-int64(batch)) >= 0; {
				chosen := make([]string, batch)
				for index := range chosen {
					chosen[index] = mine[next%len(mine)]
					next++
				}
				if err := p.Persist(ctx, to, p.Body(to, chosen, time.Now())); err != nil {
					failures <- err
					return
				}
				sent := p.Sent.Add(int64(batch))
				if perSecond > 0 {
					ahead := time.Until(started.Add(time.Duration(float64(sent) / perSecond * float64(time.Second))))
					select {
					case <-time.After(ahead):
					case <-ctx.Done():
					}
				}
			}
		}()
	}
	all.Wait()
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}

// Open as many connections as it may keep: who publishes all day has them, and does not queue for one behind others.
func (p *Publisher) Open(ctx context.Context, to *Target, connections int) {
	var all sync.WaitGroup
	for range connections {
		all.Add(1)
		go func() {
			defer all.Done()
			request, err := http.NewRequestWithContext(ctx, http.MethodOptions, to.URL, nil)
			if err != nil {
				return
			}
			if answer, err := p.client.Do(request); err == nil {
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
		}()
	}
	all.Wait()
}

// Pace sends one event at a time at an even pace, each at its moment whether those before are answered or not; $AT is
// when it was due. Returns how late the sends were and how many failed. A key's events go through one lane, in order.
func (p *Publisher) Pace(ctx context.Context, to *Target, keys []string, perSecond float64, count, lanes int, late func(time.Duration)) error {
	type due struct {
		key string
		at  time.Time
	}
	queues := make([]chan due, lanes)
	var all sync.WaitGroup
	var failed atomic.Value
	for lane := range queues {
		queues[lane] = make(chan due, count)
		all.Add(1)
		go func() {
			defer all.Done()
			for one := range queues[lane] {
				late(time.Since(one.at))
				if err := p.Send(ctx, to, p.Body(to, []string{one.key}, one.at)); err != nil {
					failed.Store(err)
				}
			}
		}()
	}
	started := time.Now().Add(10 * time.Millisecond)
	for number := range count {
		at := started.Add(time.Duration(float64(number) / perSecond * float64(time.Second)))
		time.Sleep(time.Until(at))
		key := number % len(keys)
		queues[key%lanes] <- due{keys[key], at}
	}
	for _, queue := range queues {
		close(queue)
	}
	all.Wait()
	if err, bad := failed.Load().(error); bad {
		return err
	}
	return nil
}
