/** What every node says about itself, at work: the directory core between the parts of this node and the mesh. */

import { MycelError } from '../../kernel/errors.ts';
import { isNodeId } from '../../kernel/ids.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { parcelBytesMax } from '../../kernel/parcel.ts';
import { createDirectory } from '../../protocol/placement/directory.ts';
import type { DirectoryEffect, DirectoryMessage } from '../../protocol/placement/directory.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import { drive } from '../drive.ts';
import type { Driver } from '../drive.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import * as z from 'zod/mini';

/** Largest page, in bytes: one parcel with its head. */
export const pageBytesMax: number = parcelBytesMax - 256;

/** Entries of a digest on the wire; the rest waits for another digest. */
export const digestEntriesMax = 512;

const directoryProtocol = 'directory';

/** Sections by the name of the part that wrote them. */
export type PageContent = Readonly<Record<string, unknown>>;

type Message = DirectoryMessage<PageContent>;

/** The pages of all members. */
export interface Pages extends NodePart {
  /** Replaces a section of the own page. @throws {MycelError} MYCEL_TOO_LARGE when the page would not fit a parcel. */
  write(section: string, value: unknown): void;
  /** One section of every page that has it. */
  read(section: string): readonly { readonly node: NodeId; readonly value: unknown }[];
  /** Counts the changes: while it stays the same, so does what can be read. */
  revision(): number;
  /** A page changed; returns the function that ends it. */
  onChange(listener: (node: NodeId) => void): () => void;
}

const count = z.int().check(z.gte(0));
const node = z.string().check(z.refine(isNodeId));
const messageSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('page'),
    page: z.object({ node, boot: count, count, content: z.record(z.string(), z.unknown()) }),
  }),
  z.object({
    type: z.literal('digest'),
    isReply: z.boolean(),
    known: z.array(z.object({ node, boot: count, count })),
  }),
]);

/** Builds the pages of one node. */
export function createPages(world: PartWorld): Pages {
  const { mesh, log, metrics } = world;
  const random = world.random();
  const listeners = new Set<(node: NodeId) => void>();
  const sections = new Map<string, unknown>();
  let core = build();
  let driver: Driver<Parameters<typeof core.step>[1]> | undefined;
  let ends: (() => void)[] = [];
  let revision = 0;

  function build() {
    const config = { self: mesh.self, boot: mesh.boot() };
    return createDirectory<PageContent>(config, random.split());
  }

  function run(effect: DirectoryEffect<PageContent>): void {
    if (effect.type === 'changed') {
      revision += 1;
      for (const listener of listeners) listener(effect.node as NodeId);
      return;
    }
    const { to, message } = effect;
    const fitting: Message =
      message.type === 'digest' && message.known.length > digestEntriesMax
        ? {
            ...message,
            known:
              random.below(2) === 0
                ? message.known.slice(-digestEntriesMax)
                : message.known.slice(0, digestEntriesMax),
          }
        : message;
    mesh.send(to as NodeId, directoryProtocol, encodeCbor(fitting));
  }

  function begin(): void {
    driver?.stop();
    core = build();
    revision += 1;
    driver = drive(core, {
      clock: world.clock,
      tick: { type: 'tick' },
      run,
      failed: (effect, error) =>
        log.warn({ error, effect: effect.type }, 'the directory could not send'),
      overflowed: () => metrics.drop('directory', 'overflow'),
    });
    for (const peer of mesh.peers()) driver.feed({ type: 'peer-up', node: peer });
    if (sections.size > 0) driver.feed({ type: 'wrote', content: Object.fromEntries(sections) });
  }

  function received(from: NodeId, bytes: Uint8Array): void {
    let decoded: unknown;
    try {
      decoded = decodeCbor(bytes);
    } catch {
      return metrics.drop('directory', 'malformed');
    }
    const message = messageSchema.safeParse(decoded);
    if (!message.success) return metrics.drop('directory', 'malformed');
    driver?.feed({ type: 'received', from, message: message.data as Message });
  }

  return {
    async start() {
      begin();
      ends = [
        mesh.handle(directoryProtocol, received),
        mesh.onChange((change) => {
          if (change.kind === 'moved') begin();
          if (change.kind === 'up') driver?.feed({ type: 'peer-up', node: change.node });
          if (change.kind === 'down') driver?.feed({ type: 'peer-down', node: change.node });
        }),
      ];
    },
    async stop() {
      for (const end of ends.splice(0)) end();
      driver?.stop();
      listeners.clear();
    },
    write(section, value) {
      const next = new Map(sections).set(section, value);
      const content = Object.fromEntries(next);
      if (encodeCbor(content).byteLength > pageBytesMax) {
        throw new MycelError('MYCEL_TOO_LARGE', {
          reason: `What this node offers takes more than ${pageBytesMax} bytes to tell.`,
          fix: 'Offer fewer services or agents on one node, or shorten their labels.',
        });
      }
      sections.set(section, value);
      driver?.feed({ type: 'wrote', content });
    },
    read: (section) =>
      core
        .view()
        .pages.flatMap(({ node: id, content }) =>
          content[section] === undefined ? [] : [{ node: id as NodeId, value: content[section] }],
        ),
    revision: () => revision,
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
