/** Links inside one process: the twin of the socket transport, for embedded meshes and tests. */

import type { Address } from '../../kernel/address.ts';
import { formatAddress } from '../../kernel/address.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { frameBytesMax } from '../../ports/link.ts';
import type { Lane, LinkHandlers, LinkSession, LinkTransport } from '../../ports/link.ts';
import { AllFailed, dialFailure } from '../link/happy-eyeballs.ts';

/** Bytes queued on a link before `send` says false; the same as on a socket. */
const highWaterBytes = 1024 * 1024;

/** Frames delivered per turn of the event loop, per direction. */
const framesPerTurn = 64;

/** One node's end of a memory network. */
export interface MemoryLinkNode {
  readonly node: NodeId;
  /** Where others reach it. */
  readonly address: Address;
  readonly certificate: Uint8Array;
  /** Why a peer is not let in; undefined lets it in. */
  refuse(certificate: Uint8Array, peer: NodeId): string | undefined;
  readonly handlers: LinkHandlers & { opened(session: LinkSession): void };
}

/** A transport of the twin. */
export interface MemoryLinkTransport extends LinkTransport {
  sessions(): readonly LinkSession[];
  stop(): Promise<void>;
}

interface Queued {
  readonly lane: Lane;
  readonly frame: Uint8Array;
}

interface End {
  readonly session: LinkSession;
  readonly owner: MemoryLinkNode;
  other: End | undefined;
  isOpen: boolean;
  isFull: boolean;
  queuedBytes: number;
  readonly queues: Record<Lane, Queued[]>;
  isTurnPlanned: boolean;
}

/** A network: nodes that join it can dial each other. */
export interface MemoryLinkNetwork {
  join(node: MemoryLinkNode): MemoryLinkTransport;
}

/** Builds an empty network. */
export function createMemoryLinkNetwork(): MemoryLinkNetwork {
  const nodes = new Map<string, MemoryLinkNode>();
  const ends = new Map<NodeId, Set<End>>();

  function connect(dialler: MemoryLinkNode, target: MemoryLinkNode): LinkSession {
    const near = newEnd(dialler, target, true);
    const far = newEnd(target, dialler, false);
    near.other = far;
    far.other = near;
    ends.get(dialler.node)?.add(near);
    ends.get(target.node)?.add(far);
    target.handlers.opened(far.session);
    return near.session;
  }

  function newEnd(owner: MemoryLinkNode, peer: MemoryLinkNode, isDialler: boolean): End {
    const session: LinkSession = {
      peer: peer.node,
      isDialler,
      remote: peer.address,
      certificate: peer.certificate,
      queuedBytes: () => end.queuedBytes,
      // There is no kernel: the next turn is as soon as can be.
      hurry: () => {},
      send(lane, frame) {
        if (!end.isOpen || frame.length > frameBytesMax) return end.isOpen;
        end.queues[lane].push({ lane, frame: frame.slice() });
        end.queuedBytes += frame.length;
        end.isFull ||= end.queuedBytes >= highWaterBytes;
        plan(end);
        return !end.isFull;
      },
      close: (reason) => closeBoth(end, reason),
    };
    const end: End = {
      session,
      owner,
      other: undefined,
      isOpen: true,
      isFull: false,
      queuedBytes: 0,
      queues: { control: [], data: [] },
      isTurnPlanned: false,
    };
    return end;
  }

  function plan(end: End): void {
    if (end.isTurnPlanned) return;
    end.isTurnPlanned = true;
    setImmediate(() => {
      end.isTurnPlanned = false;
      for (let count = 0; count < framesPerTurn; count += 1) {
        const next = end.queues.control.shift() ?? end.queues.data.shift();
        if (next === undefined) break;
        deliver(end, next);
      }
      if (end.queuedBytes > 0) plan(end);
      if (end.isFull && end.isOpen && end.queuedBytes <= highWaterBytes / 2) {
        end.isFull = false;
        end.owner.handlers.drained(end.session);
      }
    });
  }

  function deliver(end: End, { lane, frame }: Queued): void {
    end.queuedBytes -= frame.length;
    const other = end.other;
    if (other?.isOpen === true) other.owner.handlers.frame(other.session, lane, frame);
  }

  function closeBoth(end: End, reason: string): void {
    if (!end.isOpen) return;
    end.isOpen = false;
    ends.get(end.owner.node)?.delete(end);
    setImmediate(() => {
      // What was sent before the close still arrives.
      for (const queued of [...end.queues.control.splice(0), ...end.queues.data.splice(0)]) {
        deliver(end, queued);
      }
      end.owner.handlers.closed(end.session, reason);
      if (end.other !== undefined) closeBoth(end.other, 'the peer closed the connection');
    });
  }

  function attempt(
    own: MemoryLinkNode,
    expected: NodeId | undefined,
    address: Address,
  ): LinkSession | string {
    const target = nodes.get(formatAddress(address));
    if (target === undefined) return 'nobody listens there';
    if (target.node === own.node) return 'it is this node itself';
    if (expected !== undefined && target.node !== expected) {
      return `another node answers there: ${target.node}`;
    }
    const refusal =
      own.refuse(target.certificate, target.node) ?? target.refuse(own.certificate, own.node);
    return refusal === undefined ? connect(own, target) : `the peer is not admitted: ${refusal}`;
  }

  return {
    join(own) {
      nodes.set(formatAddress(own.address), own);
      const mine = new Set<End>();
      ends.set(own.node, mine);
      let isStopped = false;
      return {
        async dial(expected, addresses, signal) {
          const reasons: Record<string, string> = {};
          await new Promise((resolve) => setImmediate(resolve));
          for (const address of addresses) {
            if (isStopped || signal.aborted) break;
            const outcome = attempt(own, expected, address);
            if (typeof outcome !== 'string') return outcome;
            reasons[formatAddress(address)] = outcome;
          }
          if (Object.keys(reasons).length === 0) reasons['*'] = 'given up';
          throw dialFailure('MYCEL_LINK_FAILED', addresses, new AllFailed(reasons));
        },
        sessions: () => [...mine].map((end) => end.session),
        async stop() {
          isStopped = true;
          nodes.delete(formatAddress(own.address));
          for (const end of mine) closeBoth(end, 'the node stopped');
        },
      };
    },
  };
}
