// Package subscribe holds many subscriptions open and goes on after cuts.
package subscribe

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Plan of a group of sockets that are alike.
type Plan struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	// graphql-transport-ws, centrifuge-json or centrifuge-protobuf.
	Protocol string `json:"protocol"`
	// The payload of connection_init.
	Init json.RawMessage `json:"init"`
	// How many sockets, and operations on each.
	Sockets   int `json:"sockets"`
	PerSocket int `json:"per_socket"`
	// The document; Centrifuge has channels instead, which are the keys.
	Query string `json:"query"`
	// As JSON text, in which $KEY stands for the operation's key and $NUMBER for its number in the group. Operations get
	// the keys in turns.
	Variables string   `json:"variables"`
	Keys      []string `json:"keys"`
	// Connect again after a cut, and resume from the last cursor.
	Resume bool `json:"resume"`
	// Numbers begin anywhere: the subscription is live, not from a place.
	Anywhere bool `json:"anywhere"`
	// Judge by partition and offset (Kafka engine).
	Places bool `json:"places"`
	// At most so many connect at once; 0: all.
	Together int `json:"together"`
	// How many local addresses to use, from 127.0.0.2 on.
	Sources int `json:"sources"`
	// SO_RCVBUF in bytes.
	ReceiveBuffer int `json:"receive_buffer"`
	// For proving that the checks see it: each so-manieth event is thrown away unseen.
	Drop int64 `json:"drop"`
}

func (p *Plan) subscribe(id string, number int, key string, cursor []byte) []byte {
	payload := map[string]any{"query": p.Query}
	if p.Variables != "" {
		fill := strings.NewReplacer("$KEY", key, "$NUMBER", strconv.Itoa(number))
		payload["variables"] = json.RawMessage(fill.Replace(p.Variables))
	}
	if cursor != nil {
		payload["extensions"] = map[string]any{"resume": map[string]string{"cursor": string(cursor)}}
	}
	said, err := json.Marshal(map[string]any{"id": id, "type": "subscribe", "payload": payload})
	if err != nil {
		panic(err) // the plan's variables are no JSON
	}
	return said
}
