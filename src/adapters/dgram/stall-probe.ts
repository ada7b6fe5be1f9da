/** The asking side of the stall responder: questions to a member's responder, sent from any datagram socket. */

import crypto from 'node:crypto';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import { nodeIdToBytes, type NodeId } from '../../kernel/ids.ts';
import type { EpochKeys } from '../../wire/datagram-seal.ts';
import { stallLabel } from './responder.ts';
import { createStallCodec, stallAnswer, stallAsk } from './stall-codec.ts';

/** Questions that may wait for an answer; the oldest is forgotten. */
const waitingMax = 256;

/** What a member's responder said about its main thread. */
export interface StallReport {
  readonly node: NodeId;
  /** ms since its event loop last ran; up to 250 when it is well. */
  readonly stalledMs: number;
}

/** Asks and understands answers. */
export interface StallProbe {
  /** A question for this member, to be sent to its responder's port. */
  ask(node: NodeId): Uint8Array;
  /** The answer to a question that is still open; undefined for anything else. Each answer counts once. */
  read(bytes: Uint8Array): StallReport | undefined;
}

/** Whether a datagram belongs to the stall probe and not to membership. */
export function isStallAnswer(bytes: Uint8Array): boolean {
  return bytes[0] === stallAnswer;
}

/** Builds the asking side of a node. */
export function createStallProbe(options: {
  readonly node: NodeId;
  keys(): EpochKeys;
  /** @default stallLabel */
  readonly label?: string;
}): StallProbe {
  const codec = createStallCodec(crypto, options.label ?? stallLabel);
  const own = nodeIdToBytes(options.node).slice(0, 8);
  const open = new BoundedMap<string, NodeId>(waitingMax);

  return {
    ask(node) {
      const challenge = crypto.randomBytes(8);
      open.set(challenge.toString('hex'), node);
      const plain = Buffer.concat([challenge, nodeIdToBytes(node).subarray(0, 8)]);
      const { current } = options.keys();
      return codec.seal(stallAsk, current.epoch, current.key, own, plain);
    },
    read(bytes) {
      const packet = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const { current, others } = options.keys();
      for (const { epoch, key } of [current, ...others]) {
        const answer = codec.open(stallAnswer, epoch, key, packet);
        if (answer === undefined) continue;
        const challenge = answer.plain.subarray(0, 8).toString('hex');
        const node = open.get(challenge);
        if (node === undefined) return undefined;
        const short = Buffer.from(nodeIdToBytes(node).subarray(0, 8)).toString('hex');
        if (answer.sender !== short) return undefined;
        open.delete(challenge);
        return { node, stalledMs: answer.plain.readUInt32BE(8) };
      }
      return undefined;
    },
  };
}
