// Command centrifuge is the peer: Centrifugo's engine as a small server, with the in-memory broker and no history,
// presence or recovery. POST /publish?channel=… publishes each line of the body.
package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
)

func main() {
	address := flag.String("address", "127.0.0.1:0", "where to listen")
	delay := flag.Duration("write-delay", 0, "how long a connection's writer collects messages")
	timer := flag.Bool("write-timer", false, "collect by timers, not by a goroutine a connection")
	flag.Parse()

	node, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelError, ClientQueueMaxSize: 64 << 20})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:        &centrifuge.Credentials{UserID: "bench"},
			WriteDelay:         *delay,
			WriteWithTimer:     *timer,
			MaxMessagesInFrame: -1,
			QueueInitialCap:    16,
		}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			answer(centrifuge.SubscribeReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}

	http.Handle("/connection", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		WriteTimeout:       10 * time.Second,
		UseWriteBufferPool: true,
		CheckOrigin:        func(*http.Request) bool { return true },
	}))
	http.HandleFunc("/publish", func(answer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			http.Error(answer, err.Error(), http.StatusBadRequest)
			return
		}
		channel := request.URL.Query().Get("channel")
		for message := range bytes.SplitSeq(body, []byte("\n")) {
			if _, err := node.Publish(channel, message); err != nil {
				http.Error(answer, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		_, _ = answer.Write([]byte("ok"))
	})
	log.Fatal(http.ListenAndServe(*address, nil))
}
