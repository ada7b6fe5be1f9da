/** `node.config`: settings that are checked before anything changes, of this node or of the whole mesh, with their history. */

import { MycelError } from '../kernel/errors.ts';
import type { Consensus } from '../runtime/consensus/part.ts';
import type { NodePart, PartWorld } from '../runtime/parts.ts';
import { asJson, fromJson, isNewer, pathsMax, resolve, withValue } from './config-book.ts';
import type { ConfigAnswer, ConfigHistory, ConfigRecord, ConflictStrategy } from './config-book.ts';
import { decodeJson, encodeJson } from './json.ts';
import type { JsonValue } from './json.ts';
import { createKv } from './kv.ts';

/** Longest path, in characters. */
const pathLengthMax = 200;

/** Bytes of one setting with its history: it fits into one decided value. */
const settingBytesMax: number = 15 * 1024;

/** Decided settings are keys of the group below this. */
const keyPrefix = 'config/';

/** A record from further ahead than this is of a clock gone wrong, in ms: it would win for ever. */
const aheadMsMax = 86_400_000;

/** How long members are asked, in ms. */
const askMsDefault = 2_000;

/** Checks a value: any Standard Schema (zod, valibot…), or a function that says what is wrong. */
export type ConfigSchema =
  | ((value: JsonValue) => string | undefined)
  | { readonly '~standard': { validate(value: unknown): unknown } };

/** What is known of a path before anybody sets it. */
export interface ConfigDeclaration {
  readonly default?: JsonValue;
  readonly schema?: ConfigSchema;
}

/** A change. */
export interface ConfigChange {
  readonly path: string;
  readonly value: JsonValue | undefined;
  readonly previous: JsonValue | undefined;
}

/** How to set for the whole mesh. */
export interface ClusterWideOptions {
  /**
   * `decided`: by a majority, or MYCEL_NO_QUORUM. `eventual`: on every member sooner or later, the latest writer wins,
   * also in a part of the mesh that is cut off. @default 'decided'
   */
  readonly mode?: 'decided' | 'eventual';
  readonly deadlineMs?: number;
}

/** How to ask the members. */
export interface ConsensusReadOptions {
  /** How their answers become one. @default 'newest' */
  readonly strategy?: ConflictStrategy;
  /** How many must answer. @default a majority of the members */
  readonly requiredNodes?: number;
  /** @default 2_000 */
  readonly timeoutMs?: number;
}

/** The settings of a node. What this node set itself comes before what the mesh set, and that before a default. */
export interface Config {
  /** States a default and how values are checked. Values that are set already and do not fit are ignored and logged. */
  declare(path: string, declaration: ConfigDeclaration): void;
  get(path: string): JsonValue | undefined;
  /** Sets it for this node. @throws {MycelError} MYCEL_BAD_OPTION, and then nothing has changed */
  update(path: string, value: JsonValue): Promise<void>;
  /** Forgets what this node set. */
  reset(path: string): Promise<void>;
  /** Hears of changes at a path, and at all below it. '' is everything. */
  subscribe(path: string, listener: (change: ConfigChange) => void): () => void;
  /** Every path that was declared or set, in order. */
  updatablePaths(): readonly string[];
  /** Sets it for every member. @throws {MycelError} MYCEL_BAD_OPTION, MYCEL_NO_QUORUM */
  setClusterWide(path: string, value: JsonValue, options?: ClusterWideOptions): Promise<void>;
  /** What the members say, made one. @throws {MycelError} MYCEL_NO_QUORUM when too few answer */
  getWithConsensus(path: string, options?: ConsensusReadOptions): Promise<JsonValue | undefined>;
  /** What it was, the latest first, the current one included. */
  history(path: string): readonly (ConfigRecord & { readonly isLocal: boolean })[];
  /** Goes back to an earlier version, or to the one before: a new change with the old value. @throws {MycelError} MYCEL_BAD_OPTION */
  rollback(
    path: string,
    version?: number,
    options?: Pick<ClusterWideOptions, 'deadlineMs'>,
  ): Promise<JsonValue>;
}

/** Builds part and handle. */
export function createConfig(
  world: PartWorld,
  consensus: Consensus,
): { part: NodePart; handle: Config } {
  const { store, mesh, calls, clock, log } = world;
  const declared = new Map<string, ConfigDeclaration>();
  const local = new Map<string, ConfigHistory>();
  const shared = new Map<string, ConfigHistory>();
  const listeners = new Set<{ path: string; listener: (change: ConfigChange) => void }>();
  const kv = createKv(consensus);
  let stoppers: (() => void)[] = [];

  const current = (path: string): ConfigHistory | undefined => {
    const found = local.get(path) ?? shared.get(path);
    if (found === undefined || problemOf(path, found.value) === undefined) return found;
    log.warn({ path }, 'a setting does not fit its schema; it is ignored');
    return undefined;
  };
  const get = (path: string): JsonValue | undefined =>
    current(path)?.value ?? declared.get(path)?.default;

  function problemOf(path: string, value: JsonValue): string | undefined {
    const schema = declared.get(path)?.schema;
    if (schema === undefined) return undefined;
    if (typeof schema === 'function') return schema(value);
    const result = schema['~standard'].validate(value);
    if (result instanceof Promise) return 'Its schema is asynchronous.';
    const { issues } = result as { issues?: readonly { message: string }[] };
    return issues?.map(({ message }) => message).join(' ');
  }

  function check(path: string, value: JsonValue): void {
    if (!/^[\w-]+([./][\w-]+)*$/.test(path) || path.length > pathLengthMax) {
      throw new MycelError('MYCEL_BAD_OPTION', {
        reason: `A path is words joined by dots, ${pathLengthMax} characters at most.`,
      });
    }
    if (encodeJson(value).length > settingBytesMax / 2) {
      throw new MycelError('MYCEL_BAD_OPTION', { reason: `"${path}" would be too large.` });
    }
    const problem = problemOf(path, value);
    if (problem !== undefined) {
      throw new MycelError('MYCEL_BAD_OPTION', { reason: `"${path}" was not changed: ${problem}` });
    }
  }

  function recordOf(
    value: JsonValue,
    old: ConfigHistory | undefined,
    version?: number,
  ): ConfigRecord {
    // Never older than what it replaces, whatever this clock says.
    const at = Math.max(clock.wallMs(), (old?.at ?? 0) + 1);
    return { value, at, by: mesh.self, version: version ?? (old?.version ?? 0) + 1 };
  }

  /** Changes a book, tells listeners if the effective value is another one, and keeps the book. */
  async function put(
    book: Map<string, ConfigHistory>,
    path: string,
    history: ConfigHistory | undefined,
  ): Promise<void> {
    const isNew = !book.has(path) && history !== undefined;
    if (isNew && book.size >= pathsMax) {
      throw new MycelError('MYCEL_BAD_OPTION', {
        reason: `There are ${pathsMax} settings already.`,
      });
    }
    const previous = get(path);
    const before = book.get(path);
    if (history === undefined) book.delete(path);
    else book.set(path, history);
    try {
      await save(book);
    } catch (error) {
      if (before === undefined) book.delete(path);
      else book.set(path, before);
      throw error;
    }
    const value = get(path);
    if (JSON.stringify(value) === JSON.stringify(previous)) return;
    for (const one of listeners) {
      const isBelow = one.path === '' || path === one.path || path.startsWith(`${one.path}.`);
      if (!isBelow) continue;
      try {
        one.listener({ path, value, previous });
      } catch (error) {
        log.error({ error, path }, 'a listener to the configuration threw');
      }
    }
  }

  async function save(book: Map<string, ConfigHistory>): Promise<void> {
    const rows = [...book].map(([path, history]) => [path, asJson(history)] as const);
    await store.write(book === local ? 'config-local' : 'config-shared', encodeJson(rows));
  }

  async function load(book: Map<string, ConfigHistory>, name: string): Promise<void> {
    const bytes = await store.read(name);
    if (bytes === undefined) return;
    for (const [path, history] of rowsOf(bytes)) book.set(path, history);
  }

  /** Another member tells what the mesh has set. */
  async function hear(rows: readonly (readonly [string, ConfigHistory])[]): Promise<void> {
    for (const [path, heard] of rows) {
      if (heard.mode === 'local' || !isNewer(heard, shared.get(path))) continue;
      if (heard.at > clock.wallMs() + aheadMsMax) {
        log.warn({ path, by: heard.by }, 'a setting from the future is ignored: a clock is wrong');
        continue;
      }
      await put(shared, path, heard);
    }
  }

  function spread(path: string, history: ConfigHistory): void {
    const bytes = encodeJson([[path, asJson(history)]]);
    for (const peer of mesh.peers()) mesh.send(peer, 'config', bytes);
  }

  async function pull(peer: Parameters<typeof calls.call>[0]): Promise<void> {
    const bytes = await calls.call(peer, 'config.all', new Uint8Array(), { deadlineMs: 10_000 });
    await hear(rowsOf(bytes));
  }

  async function setClusterWide(
    path: string,
    value: JsonValue,
    options: ClusterWideOptions = {},
  ): Promise<void> {
    check(path, value);
    if (options.mode === 'eventual') {
      const old = shared.get(path);
      const history = withValue(old, recordOf(value, old), 'eventual', settingBytesMax);
      await put(shared, path, history);
      return spread(path, history);
    }
    const patience = options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs };
    for (;;) {
      const found = await kv.get(keyPrefix + path, patience);
      const old = fromJson(found?.value);
      const next = recordOf(value, old ?? shared.get(path), (old?.version ?? 0) + 1);
      const history = withValue(old, next, 'decided', settingBytesMax);
      const expected = { version: found?.version ?? 0 };
      const swap = await kv.cas(keyPrefix + path, expected, asJson(history), patience);
      // Somebody else set it meanwhile: that one becomes history.
      if (!swap.isDone) continue;
      await put(shared, path, history);
      return spread(path, history);
    }
  }

  const answer = (path: string): ConfigAnswer => ({
    node: mesh.self,
    value: get(path),
    at: current(path)?.at ?? 0,
  });

  const handle: Config = {
    get,
    setClusterWide,
    declare(path, declaration) {
      declared.set(path, declaration);
      if (declaration.default !== undefined) check(path, declaration.default);
    },
    async update(path, value) {
      check(path, value);
      const old = local.get(path);
      await put(local, path, withValue(old, recordOf(value, old), 'local', settingBytesMax));
    },
    async reset(path) {
      if (local.has(path)) await put(local, path, undefined);
    },
    subscribe(path, listener) {
      const entry = { path, listener };
      listeners.add(entry);
      return () => void listeners.delete(entry);
    },
    updatablePaths: () =>
      [...new Set([...declared.keys(), ...local.keys(), ...shared.keys()])].sort(),
    async getWithConsensus(path, options = {}) {
      const peers = mesh.peers();
      const required = options.requiredNodes ?? Math.floor((peers.length + 1) / 2) + 1;
      const deadlineMs = options.timeoutMs ?? askMsDefault;
      const asked = await Promise.allSettled(
        peers.map((peer) => calls.call(peer, 'config.value', encodeJson(path), { deadlineMs })),
      );
      const answers = [answer(path)];
      for (const one of asked) {
        if (one.status === 'fulfilled')
          answers.push(decodeJson(one.value) as unknown as ConfigAnswer);
      }
      if (answers.length < required) {
        throw new MycelError('MYCEL_NO_QUORUM', {
          reason: `${answers.length} of ${required} members answered.`,
        });
      }
      return resolve(answers, options.strategy ?? 'newest');
    },
    history: (path) =>
      [local.get(path), shared.get(path)].flatMap((history) => {
        if (history === undefined) return [];
        const isLocal = history.mode === 'local';
        const { value, at, by, version } = history;
        return [{ value, at, by, version }, ...history.before].map((one) => ({ ...one, isLocal }));
      }),
    async rollback(path, version, options = {}) {
      const book = local.has(path) ? local : shared;
      const history = book.get(path);
      const target =
        version === undefined
          ? history?.before[0]
          : history?.before.find((one) => one.version === version);
      if (history === undefined || target === undefined) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: `"${path}" has no ${version === undefined ? 'earlier value' : `version ${version}`}.`,
          fix: 'See "mycel config history" for the versions.',
        });
      }
      if (book === local) await handle.update(path, target.value);
      else {
        await setClusterWide(path, target.value, {
          ...options,
          mode: history.mode === 'eventual' ? 'eventual' : 'decided',
        });
      }
      return target.value;
    },
  };

  const part: NodePart = {
    async start() {
      await load(local, 'config-local');
      await load(shared, 'config-shared');
      stoppers = [
        mesh.handle('config', (_, bytes) => {
          hear(rowsOf(bytes)).catch((error: unknown) =>
            log.warn({ error }, 'a setting of the mesh could not be kept'),
          );
        }),
        calls.serve('config.all', async () =>
          encodeJson([...shared].map(([path, history]) => [path, asJson(history)])),
        ),
        calls.serve('config.value', async (body) => {
          const path = decodeJson(body);
          const asked = typeof path === 'string' ? path : '';
          return encodeJson({ ...answer(asked) } as unknown as JsonValue);
        }),
        // Whoever comes, and whoever was cut off, may know more: each asks the other.
        mesh.onChange((change) => {
          if (change.kind !== 'up') return;
          pull(change.node).catch((error: unknown) =>
            log.debug({ error, peer: change.node }, 'the settings of a member could not be had'),
          );
        }),
      ];
    },
    async stop() {
      for (const stop of stoppers) stop();
      stoppers = [];
    },
  };
  return { part, handle };
}

function rowsOf(bytes: Uint8Array): (readonly [string, ConfigHistory])[] {
  let rows: JsonValue;
  try {
    rows = decodeJson(bytes);
  } catch {
    return [];
  }
  if (!Array.isArray(rows)) return [];
  return (rows as readonly JsonValue[]).slice(0, pathsMax).flatMap((row) => {
    const [path, json] = Array.isArray(row) ? (row as readonly JsonValue[]) : [];
    const history = fromJson(json);
    return typeof path === 'string' && history !== undefined ? [[path, history] as const] : [];
  });
}
