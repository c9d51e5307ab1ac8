/**
 * Notices a connection that is dead without having been closed: another network, a lid that was shut. Browsers say
 * nothing of those for minutes.
 */
import type { Client } from 'graphql-ws';

const PONG_WITHIN_MS = 5_000;

/** Ends the socket when a ping of ours is not answered; the client then connects again, and goes on. */
export function watchPongs(client: Client): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = (): void => clearTimeout(timer);
  client.on('ping', (received) => {
    if (!received) {
      stop();
      timer = setTimeout(() => client.terminate(), PONG_WITHIN_MS);
    }
  });
  client.on('pong', (received) => {
    if (received) stop();
  });
  client.on('closed', stop);
}
