// Package tally keeps count of what each subscription got: how many, in which order, how late, and what is missing.
package tally

import (
	"sync"
	"sync/atomic"
)

// Place of an event in a log that numbers nothing: Kafka's partition and offset.
type Place struct{ Partition, Offset int64 }

// Counts of one or many operations. Lost: numbers passed over. Repeated: numbers (or places) that came again or too late.
type Counts struct {
	Received int64 `json:"received"`
	Lost     int64 `json:"lost"`
	Repeated int64 `json:"repeated"`
	Bytes    int64 `json:"bytes"`
}

func (c *Counts) add(other Counts) {
	c.Received += other.Received
	c.Lost += other.Lost
	c.Repeated += other.Repeated
	c.Bytes += other.Bytes
}

// Operation is what one subscription got. The publisher numbers the events of a key from 1 in the order of the log, so a
// subscription to a key must see 1, 2, 3 …; one that begins somewhere (Anywhere) takes its first number as given.
//
// On the Kafka engine a publisher's retry may put an event twice into the log. There each place must come once and in the
// order of its partition, and every number at least once.
type Operation struct {
	Key      string
	Anywhere bool
	Cursor   []byte

	mu      sync.Mutex
	counts  Counts
	last    int64
	heard   atomic.Bool
	places  map[int64]int64
	numbers map[int64]struct{}
}

// ByPlaces makes the operation one of the Kafka engine.
func (o *Operation) ByPlaces() { o.places, o.numbers = map[int64]int64{}, map[int64]struct{}{} }

// Placed says whether it is judged by places.
func (o *Operation) Placed() bool { return o.places != nil }

// Heard says whether anything has come.
func (o *Operation) Heard() bool { return o.heard.Load() }

// Forget starts to listen anew.
func (o *Operation) Forget() { o.heard.Store(false) }

// Take counts one event.
func (o *Operation) Take(number int64, place Place, size int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.heard.Store(true)
	o.counts.Received++
	o.counts.Bytes += int64(size)
	if o.places != nil {
		if before, known := o.places[place.Partition]; known && place.Offset <= before {
			o.counts.Repeated++
			return
		}
		o.places[place.Partition] = place.Offset
		o.numbers[number] = struct{}{}
		return
	}
	switch {
	case number == o.last+1, o.Anywhere && o.last == 0:
		o.last = number
	case number > o.last:
		o.counts.Lost += number - o.last - 1
		o.last = number
	default:
		o.counts.Repeated++
	}
}

// Missing is how many of the numbers up to that one have not come and may still come.
func (o *Operation) Missing(until int64) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.places != nil {
		return until - int64(len(o.numbers))
	}
	return max(0, until-o.last)
}

// Counts until now.
func (o *Operation) Counts() Counts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts
}
