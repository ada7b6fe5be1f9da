/** What nodes ask of one another about agents: what they hold, to take a message, to give an instance away or take one. */

import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import type { PartWorld } from '../parts.ts';
import type { Claims } from './claims.ts';
import type { Crew } from './crew.ts';
import { readDeployments } from './deployment.ts';
import type { Deployment } from './deployment.ts';
import type { Moving } from './moving.ts';

/** The answers of one node. */
export interface AgentWords {
  /** Answers; returns what ends it. */
  serve(): (() => void)[];
  /** @throws {MycelError} MYCEL_UNKNOWN_AGENT, MYCEL_MAILBOX_FULL */
  mailHere(instance: string, from: string, body: unknown): void;
  /** Links an instance here with another one, on the nodes of both. @throws {MycelError} MYCEL_UNKNOWN_AGENT, MYCEL_BAD_OPTION */
  tie(instance: string, other: string): Promise<void>;
}

/** Builds them. */
export function createAgentWords(parts: {
  readonly world: PartWorld;
  readonly crew: Crew;
  readonly claims: Claims;
  readonly moving: Moving;
  deployment(name: string): Deployment | undefined;
  learn(words: readonly Deployment[]): void;
}): AgentWords {
  const { crew, claims, moving } = parts;
  const { calls } = parts.world;

  function mailHere(instance: string, from: string, body: unknown): void {
    if (!crew.running.has(instance)) throw new MycelError('MYCEL_UNKNOWN_AGENT', { instance });
    if (crew.deliver(instance, { type: 'mail', from, body }, false)) return;
    throw new MycelError('MYCEL_MAILBOX_FULL', { instance });
  }

  function tieHere(one: string, other: string): void {
    if (claims.ties.link(one, other)) return;
    throw new MycelError('MYCEL_BAD_OPTION', { reason: 'This node has too many links.' });
  }

  /** Each end is on record at both nodes: whichever of them is left passes the other's end on. */
  async function tie(instance: string, other: string): Promise<void> {
    const holder = claims.holder(other);
    if (holder === undefined) {
      throw new MycelError('MYCEL_UNKNOWN_AGENT', {
        reason: `No instance '${other.slice(0, 64)}' runs.`,
      });
    }
    tieHere(instance, other);
    if (holder.node === parts.world.mesh.self) return;
    try {
      const body = encodeCbor({ instance: other, linkedTo: instance });
      await calls.call(holder.node, 'agents/tie', body, { deadlineMs: 5_000 });
    } catch (error) {
      claims.ties.unlink(instance, other);
      throw error;
    }
  }

  return {
    mailHere,
    tie,
    serve: () => [
      calls.serve('agents/claims', async () => encodeCbor(claims.all())),
      calls.serve('agents/mail', async (body) => {
        const {
          instance,
          from,
          body: mail,
        } = decodeCbor(body) as { instance: string; from: string; body: unknown };
        mailHere(String(instance), String(from), mail);
        return new Uint8Array(0);
      }),
      calls.serve('agents/tie', async (body) => {
        const { instance, linkedTo } = decodeCbor(body) as { instance: string; linkedTo: string };
        if (!crew.running.has(String(instance)))
          throw new MycelError('MYCEL_UNKNOWN_AGENT', { instance });
        tieHere(String(instance), String(linkedTo));
        // It may have ended before the page here says that it ever began.
        return new Uint8Array(0);
      }),
      calls.serve('agents/merge', async (body) => {
        const { instance, state } = decodeCbor(body) as { instance: string; state: unknown };
        crew.deliver(String(instance), { type: 'merge', state }, false);
        return new Uint8Array(0);
      }),
      calls.serve('agents/drain', async (body) =>
        encodeCbor(await moving.drainHere(decodeCbor(body) === true)),
      ),
      calls.serve('agents/leave', async (body, { deadlineMs }) => {
        const { instance, to } = decodeCbor(body) as { instance: string; to: NodeId };
        await moving.migrateHere(String(instance), to, deadlineMs);
        return new Uint8Array(0);
      }),
      calls.serve('agents/adopt', async (body) => {
        const {
          instance,
          epoch,
          wanted: word,
        } = decodeCbor(body) as {
          instance: string;
          epoch: number;
          wanted: unknown;
        };
        // Whoever gives it away may know of it before the pages here do.
        parts.learn(readDeployments([word]));
        const wanted = parts.deployment(instance.slice(0, instance.lastIndexOf('#')));
        if (wanted?.hash === undefined) throw new MycelError('MYCEL_UNKNOWN_AGENT', { instance });
        await crew.take(wanted, instance, { epoch });
        if (crew.running.get(instance)?.instance === undefined) {
          throw new MycelError('MYCEL_BAD_AGENT', { reason: `'${instance}' did not start there.` });
        }
        return new Uint8Array(0);
      }),
    ],
  };
}
