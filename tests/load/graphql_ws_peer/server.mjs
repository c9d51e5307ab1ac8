// The peer: graphql-js, graphql-ws and ws as their manuals show them, one subscription field with an event's ten fields.
// POST /publish takes a JSON array of events. `node server.mjs PORT`
import { createServer } from 'node:http'
import { buildSchema } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'

const schema = buildSchema(`
  scalar JSON
  scalar DateTime
  scalar Long
  type Event {
    eventId: ID! eventType: String! eventVersion: String! aggregateId: ID aggregateType: String sequenceNumber: Long
    timestamp: DateTime! recordedAt: DateTime! correlationId: ID payload: JSON!
  }
  type Query { ok: Boolean! }
  type Subscription { events: Event! }
`)

const subscribers = new Set()

// A queue per subscriber, as graphql-subscriptions' PubSub keeps one.
async function* follow() {
  const waiting = []
  let wake
  const take = (event) => {
    waiting.push({ events: event })
    wake?.()
  }
  subscribers.add(take)
  try {
    for (;;) {
      while (waiting.length) yield waiting.shift()
      await new Promise((resolve) => (wake = resolve))
    }
  } finally {
    subscribers.delete(take)
  }
}

const http = createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    for (const event of JSON.parse(Buffer.concat(chunks))) for (const take of subscribers) take(event)
    response.end('ok')
  })
})
const sockets = new WebSocketServer({ server: http, path: '/graphql', perMessageDeflate: false })
useServer({ schema, roots: { subscription: { events: follow } } }, sockets)
http.listen(Number(process.argv[2]), '127.0.0.1')
