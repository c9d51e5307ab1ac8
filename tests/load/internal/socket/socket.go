// Package socket is a WebSocket client that costs next to nothing, so that what is measured is the server: it reads
// frames in place from one buffer a connection and does not decode them.
package socket

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

const (
	smallest = 4 << 10
	largest  = 64 << 10
	// Silence is how long a server may say nothing at all, not even ping, before the connection counts as dead.
	Silence = 90 * time.Second
)

// Closed is the server's close frame.
type Closed struct {
	Code   int
	Reason string
}

func (c Closed) Error() string { return fmt.Sprintf("closed with %d %s", c.Code, c.Reason) }

// Options of a connection. Source: the local address, so that many connections do not run out of ports. ReceiveBuffer:
// SO_RCVBUF in bytes, 0 leaves it to the kernel; a small one makes a reader that stops felt by the server soon.
type Options struct {
	URL           string
	Protocol      string
	Source        net.IP
	ReceiveBuffer int
	Timeout       time.Duration
}

// Conn is one connection. Next is called by one goroutine, Write by one at a time, Reset by any.
type Conn struct {
	tcp        *net.TCPConn
	buffer     []byte
	start, end int
	whole      []byte
	Bytes      int64
}

// Dial connects and shakes hands.
func Dial(ctx context.Context, options Options) (*Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: options.Source}}
	if options.ReceiveBuffer > 0 {
		dialer.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			if failed := raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, options.ReceiveBuffer)
			}); failed != nil {
				return failed
			}
			return err
		}
	}
	shake := ws.Dialer{NetDial: dialer.DialContext, Timeout: options.Timeout, ReadBufferSize: 1024, WriteBufferSize: 1024}
	if options.Protocol != "" {
		shake.Protocols = []string{options.Protocol}
	}
	raw, early, _, err := shake.Dial(ctx, options.URL)
	if err != nil {
		if raw != nil {
			raw.Close()
		}
		return nil, err
	}
	conn := &Conn{tcp: raw.(*net.TCPConn), buffer: make([]byte, smallest)}
	if early != nil { // frames that came with the answer to the handshake
		said, _ := early.Peek(early.Buffered())
		conn.end = copy(conn.room(len(said)), said)
		ws.PutReader(early)
	}
	return conn, nil
}

// Next is the next whole message; it is valid until the next call. Pings are answered on the way.
func (c *Conn) Next() ([]byte, error) {
	c.whole = c.whole[:0]
	for {
		final, code, payload, err := c.frame()
		if err != nil {
			return nil, err
		}
		switch code {
		case ws.OpPing:
			c.Deadline(time.Now().Add(Silence))
			if err := c.write(ws.OpPong, payload); err != nil {
				return nil, err
			}
		case ws.OpPong:
		case ws.OpClose:
			closed := Closed{Code: 1005}
			if len(payload) >= 2 {
				closed.Code, closed.Reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
			}
			return nil, closed
		default:
			if final && len(c.whole) == 0 {
				return payload, nil
			}
			c.whole = append(c.whole, payload...)
			if final {
				return c.whole, nil
			}
		}
	}
}

// Write sends one text message.
func (c *Conn) Write(message []byte) error { return c.write(ws.OpText, message) }

// WriteBinary sends one binary message.
func (c *Conn) WriteBinary(message []byte) error { return c.write(ws.OpBinary, message) }

// Deadline is when reads and writes give up.
func (c *Conn) Deadline(at time.Time) { _ = c.tcp.SetDeadline(at) }

// Reset cuts the connection with a TCP reset: no close frame, no FIN, and what was on its way is gone.
func (c *Conn) Reset() {
	_ = c.tcp.SetLinger(0)
	c.tcp.Close()
}

// Close says goodbye and closes.
func (c *Conn) Close() {
	c.Deadline(time.Now().Add(time.Second))
	_ = c.write(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	c.tcp.Close()
}

func (c *Conn) write(code ws.OpCode, payload []byte) error {
	frame := ws.NewFrame(code, true, payload)
	return ws.WriteFrame(c.tcp, ws.MaskFrame(frame))
}

// frame reads one server frame (RFC 6455, section 5.2; servers do not mask).
func (c *Conn) frame() (final bool, code ws.OpCode, payload []byte, err error) {
	if err = c.want(2); err != nil {
		return
	}
	first, second := c.buffer[c.start], c.buffer[c.start+1]
	head, length := 2, int(second&0x7f)
	switch length {
	case 126:
		if err = c.want(4); err != nil {
			return
		}
		head, length = 4, int(binary.BigEndian.Uint16(c.buffer[c.start+2:]))
	case 127:
		if err = c.want(10); err != nil {
			return
		}
		head, length = 10, int(binary.BigEndian.Uint64(c.buffer[c.start+2:]))
	}
	if err = c.want(head + length); err != nil {
		return
	}
	payload = c.buffer[c.start+head : c.start+head+length]
	c.start += head + length
	return first&0x80 != 0, ws.OpCode(first & 0x0f), payload, nil
}

// want makes sure that so many bytes lie in the buffer.
func (c *Conn) want(count int) error {
	for c.end-c.start < count {
		read, err := c.tcp.Read(c.room(count))
		c.end += read
		c.Bytes += int64(read)
		if err != nil && c.end-c.start < count {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// room is where to read to: what is unread moves to the front, and a buffer that a read filled gets larger.
func (c *Conn) room(count int) []byte {
	full := c.end == len(c.buffer)
	if c.start > 0 {
		c.end = copy(c.buffer, c.buffer[c.start:c.end])
		c.start = 0
	}
	if size := max(count, min(largest, 2*len(c.buffer))); count > len(c.buffer) || (full && size > len(c.buffer)) {
		larger := make([]byte, size)
		copy(larger, c.buffer[:c.end])
		c.buffer = larger
	}
	return c.buffer[c.end:]
}
