/**
 * Kept-alive connections to one target over plain HTTP. Node's own agent serves any number of hosts and works out for each
 * request which of its lists it belongs to: a fifth of what a short request costs a gateway (docs/decisions/0057).
 */

import { Agent } from 'node:http';
import type { ClientRequest } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** How long before the target would end an idle connection it is left alone, in ms: a request may cross its end. */
const marginMs = 1_000;

/** What is known of a connection. */
interface Line {
  readonly socket: Socket;
  /** Not used again after this, on the clock of `performance.now`. */
  usableUntil: number;
}

/** A request as Node's agents see it. */
interface Outgoing extends ClientRequest {
  onSocket(socket: Socket): void;
  readonly res?: { readonly headers: { readonly 'keep-alive'?: string } };
}

/** Connections to one address: the one used last is used next. */
export class Pool extends Agent {
  private readonly to: { readonly host: string; readonly port: number };
  private readonly idleMax: number;
  private readonly idle: Line[] = [];
  private readonly open = new Set<Socket>();

  constructor(to: { readonly host: string; readonly port: number }, idleMax: number) {
    super({ keepAlive: true });
    this.to = to;
    this.idleMax = idleMax;
  }

  /** Called by `node:http` with every request that names this agent. */
  addRequest(request: Outgoing): void {
    const socket = this.take();
    if (socket !== undefined) {
      request.reusedSocket = true;
      socket.ref();
    }
    request.onSocket(socket ?? this.dial());
  }

  override destroy(): void {
    for (const socket of this.open) socket.destroy();
  }

  private take(): Socket | undefined {
    for (let line = this.idle.pop(); line !== undefined; line = this.idle.pop()) {
      const { socket, usableUntil } = line;
      if (socket.writable && !socket.destroyed && usableUntil > performance.now()) return socket;
      socket.destroy();
    }
    return undefined;
  }

  private dial(): Socket {
    const socket = connect({ ...this.to, noDelay: true, keepAlive: true });
    const line: Line = { socket, usableUntil: Infinity };
    this.open.add(socket);
    // Whoever has it hears of its errors, too; an idle one just goes.
    socket.on('error', () => undefined);
    socket.on('free', () => this.give(line));
    socket.once('close', () => {
      this.open.delete(socket);
      const at = this.idle.indexOf(line);
      if (at !== -1) this.idle.splice(at, 1);
    });
    return socket;
  }

  /** `node:http` has no use for it any more: its answer is whole, or nobody waits for one. */
  private give(line: Line): void {
    const socket: Socket & { _httpMessage?: Outgoing | null } = line.socket;
    const told = socket._httpMessage?.res?.headers['keep-alive'];
    socket._httpMessage = null;
    if (!socket.writable || socket.destroyed || this.idle.length >= this.idleMax)
      return void socket.destroy();
    const stated = /\btimeout=(\d+)/.exec(told ?? '')?.[1];
    line.usableUntil =
      stated === undefined ? Infinity : performance.now() + Number(stated) * 1_000 - marginMs;
    if ((socket.timeout ?? 0) !== 0) socket.setTimeout(0);
    socket.unref();
    this.idle.push(line);
  }
}
