/** A TCP proxy that can do to connections what networks do. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  held: boolean;
}

export class Proxy {
  readonly #pairs = new Set<Pair>();
  readonly #server = createServer((client) => this.#accept(client));
  readonly #target: URL;
  #down = false;

  private constructor(target: URL) {
    this.#target = target;
  }

  static async to(target: URL): Promise<Proxy> {
    const proxy = new Proxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  url(scheme: 'ws' | 'http'): string {
    return `${scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}/graphql`;
  }

  /** Connections that are open. */
  get open(): number {
    return this.#pairs.size;
  }

  /** Reset every connection, as a failing router does: no close frame, no FIN. */
  cut(): void {
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
    this.#pairs.clear();
  }

  /** Cut, and let nobody in until `up`. */
  down(): void {
    this.#down = true;
    this.cut();
  }

  up(): void {
    this.#down = false;
  }

  /** Read nothing more of what the gateway sends, on connections there are, until `release`. */
  hold(): void {
    for (const pair of this.#pairs) {
      pair.held = true;
      pair.server.pause();
    }
  }

  release(): void {
    for (const pair of this.#pairs) {
      pair.held = false;
      pair.server.resume();
    }
  }

  /** Let nothing through on connections there are, without a word, as when a laptop is carried away; until `thaw`. */
  freeze(): void {
    this.hold();
    for (const { client, server } of this.#pairs) client.unpipe(server);
  }

  thaw(): void {
    this.release();
    for (const { client, server } of this.#pairs) client.pipe(server);
  }

  async close(): Promise<void> {
    this.down();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(client: Socket): void {
    client.on('error', () => undefined);
    if (this.#down) {
      client.resetAndDestroy();
      return;
    }
    const server = connect({ host: this.#target.hostname, port: Number(this.#target.port) });
    const pair = { client, server, held: false };
    this.#pairs.add(pair);
    server.on('error', () => client.resetAndDestroy());
    client.on('close', () => {
      this.#pairs.delete(pair);
      server.destroy();
    });
    server.on('close', () => client.destroy());
    client.pipe(server);
    server.on('data', (data) => {
      if (!client.write(data)) server.pause();
    });
    client.on('drain', () => {
      if (!pair.held) server.resume();
    });
  }
}
