package subscribe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"event-streaming-bus/tests/load/internal/socket"
	"event-streaming-bus/tests/load/internal/tally"
)

// graphql speaks graphql-transport-ws (github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md).
type graphql struct{ *subscriber }

func (g graphql) subprotocol() string { return "graphql-transport-ws" }

func (g graphql) begin(conn *socket.Conn) error {
	init := map[string]any{"type": "connection_init"}
	if g.plan.Init != nil {
		init["payload"] = g.plan.Init
	}
	said, err := json.Marshal(init)
	if err != nil {
		return err
	}
	if err := conn.Write(said); err != nil {
		return err
	}
	answer, err := conn.Next()
	if err != nil {
		return err
	}
	if string(value(answer, `"type"`)) != "connection_ack" {
		return fmt.Errorf("no connection_ack: %.200s", answer)
	}
	for index := range g.count {
		operation := g.operation(index)
		said := g.plan.subscribe(strconv.Itoa(index), g.first+index, operation.Key, operation.Cursor)
		if err := conn.Write(said); err != nil {
			return err
		}
	}
	return nil
}

func (g graphql) take(conn *socket.Conn, message []byte, now time.Time) error {
	switch kind := value(message, `"type"`); string(kind) {
	case "next":
		index := int(number(value(message, `"id"`)))
		if index >= g.count {
			return fmt.Errorf("unknown operation: %.200s", message)
		}
		if bytes.Contains(message[:min(len(message), 120)], []byte(`"errors"`)) {
			return ended{fmt.Sprintf("errors: %.400s", message)}
		}
		g.event(index, message, now)
		if cursor := lastValue(message, `"cursor"`); cursor != nil {
			operation := g.operation(index)
			operation.Cursor = append(operation.Cursor[:0], cursor...)
		}
		return nil
	case "ping":
		return conn.Write([]byte(`{"type":"pong"}`))
	case "error", "complete":
		return ended{fmt.Sprintf("%s %s: %s", kind, value(message, `"code"`), value(message, `"message"`))}
	case "pong":
		return nil
	default:
		return fmt.Errorf("unexpected: %.200s", message)
	}
}

func (s *subscriber) event(index int, message []byte, now time.Time) {
	if s.plan.Drop > 0 && s.seen.Add(1)%s.plan.Drop == 0 {
		return
	}
	var place tally.Place
	if s.plan.Places {
		place = tally.Place{Partition: number(value(message, `"partition"`)), Offset: number(value(message, `"offset"`))}
	}
	var at time.Time
	if microseconds := number(value(message, `"at"`)); microseconds > 0 {
		at = time.UnixMicro(microseconds)
	}
	s.group.Take(s.first+index, number(value(message, `"seq"`)), place, at, now, len(message))
}
