/** Tokens: asked for before each connection, and refreshed on a socket that stays open. */
import { wait } from './backoff.js';
import { isObject } from './errors.js';

/** A bearer token, or where a fresh one comes from. A function that fails is asked again, at growing intervals. */
export type Token = string | (() => string | Promise<string>);

interface Socket {
  readonly readyState: number;
  send(message: string): void;
}

const OPEN = 1;
const SHARE_OF_LIFE = 0.75;
const SOONEST_MS = 500;
const LONGEST_MS = 2 ** 31 - 1; // longer timers fire at once

/**
 * What one client says of who it is. On an open socket the next token goes in a `ping` before the last one expires:
 * nothing is interrupted. Where that does not succeed the server closes with 4403, and the client connects again.
 */
export class Authorization {
  readonly #source: Token | undefined;
  #token: string | undefined;
  /** The token the socket lives by. */
  #accepted: string | undefined;
  #socket: Socket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(source: Token | undefined) {
    this.#source = source;
  }

  /** Have a token, however long that takes. Never fails. */
  async prepare(): Promise<void> {
    for (let failures = 0; !this.#stopped; failures++) {
      try {
        this.#token = typeof this.#source === 'function' ? await this.#source() : this.#source;
        return;
      } catch {
        await wait(failures);
      }
    }
  }

  /** What is said of it to a server. */
  said(): { authorization?: string } {
    return this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
  }

  /** The server has accepted it on this socket. */
  connected(socket: unknown): void {
    this.#socket = socket as Socket;
    this.#live();
  }

  /** The server has answered a `ping`; one that carried a token says what became of it. */
  answered(payload: unknown): void {
    if (!isObject(payload) || this.#socket === undefined) return;
    if (payload['authorized'] === true) this.#live();
    if (payload['authorized'] === false) {
      const after = payload['retryAfterMs'];
      this.#plan(typeof after === 'number' ? after : SOONEST_MS);
    }
  }

  /** The socket has closed. */
  closed(): void {
    clearTimeout(this.#timer);
    this.#socket = undefined;
  }

  /** The client is not used any more. */
  stop(): void {
    this.#stopped = true;
    this.closed();
  }

  #live(): void {
    this.#accepted = this.#token;
    const left = typeof this.#source === 'function' ? millisecondsLeft(this.#token ?? '') : 0;
    if (left > 0) this.#plan(left * SHARE_OF_LIFE);
  }

  #plan(after: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#renew(), Math.min(Math.max(after, SOONEST_MS), LONGEST_MS));
  }

  async #renew(): Promise<void> {
    const socket = this.#socket;
    await this.prepare();
    if (socket === undefined || socket !== this.#socket || socket.readyState !== OPEN) return;
    if (this.#token === this.#accepted) this.#live();
    else socket.send(JSON.stringify({ type: 'ping', payload: this.said() }));
  }
}

/** How long a JWT is good, by its own claims; 0 for a token that does not say. */
function millisecondsLeft(token: string): number {
  try {
    const part = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const claims: unknown = JSON.parse(atob(part));
    if (!isObject(claims) || typeof claims['exp'] !== 'number') return 0;
    const left = claims['exp'] * 1000 - Date.now();
    const life = typeof claims['iat'] === 'number' ? (claims['exp'] - claims['iat']) * 1000 : left;
    // a clock that is wrong here must neither keep a token for too long nor ask for the next one without a pause
    return left > 0 ? Math.min(left, life) : life;
  } catch {
    return 0;
  }
}
