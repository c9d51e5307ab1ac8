package subscribe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/centrifugal/protocol"

	"event-streaming-bus/tests/load/internal/socket"
)

// centrifuge speaks Centrifugo's client protocol: JSON replies one a line, or Protobuf replies after their length. An
// empty reply is the server's ping.
type centrifuge struct {
	*subscriber
	protobuf bool
}

func (c centrifuge) subprotocol() string {
	if c.protobuf {
		return "centrifuge-protobuf"
	}
	return ""
}

func (c centrifuge) begin(conn *socket.Conn) error {
	commands := []*protocol.Command{{Id: 1, Connect: &protocol.ConnectRequest{}}}
	for index := range c.count {
		channel := &protocol.SubscribeRequest{Channel: c.operation(index).Key}
		commands = append(commands, &protocol.Command{Id: uint32(index + 2), Subscribe: channel})
	}
	for _, command := range commands {
		if err := c.send(conn, command); err != nil {
			return err
		}
		answer, err := conn.Next()
		if err != nil {
			return err
		}
		if bytes.Contains(answer, []byte(`"error"`)) {
			return fmt.Errorf("refused: %.200s", answer)
		}
	}
	return nil
}

func (c centrifuge) take(conn *socket.Conn, message []byte, now time.Time) error {
	for len(message) > 0 {
		var reply []byte
		if c.protobuf {
			length, used := binary.Uvarint(message)
			if used <= 0 || uint64(len(message)-used) < length {
				return fmt.Errorf("cut off: %d bytes", len(message))
			}
			reply, message = message[used:used+int(length)], message[used+int(length):]
		} else {
			reply, message, _ = bytes.Cut(message, []byte("\n"))
		}
		if ping := c.protobuf && len(reply) == 0 || !c.protobuf && len(reply) == 2; ping {
			if err := c.pong(conn); err != nil {
				return err
			}
			continue // more may follow in the same frame
		}
		c.event(0, reply, now) // every socket of this peer has one channel
	}
	return nil
}

func (c centrifuge) pong(conn *socket.Conn) error {
	if c.protobuf {
		return conn.WriteBinary([]byte{0})
	}
	return conn.Write([]byte("{}"))
}

func (c centrifuge) send(conn *socket.Conn, command *protocol.Command) error {
	if !c.protobuf {
		return conn.Write(command.AppendJSON(nil))
	}
	said, err := command.MarshalCF()
	if err != nil {
		return err
	}
	return conn.WriteBinary(append(binary.AppendUvarint(nil, uint64(len(said))), said...))
}
