/**
 * One holder behind the sink: the agents' own runtime (crew, moving, claims, supervision) on several nodes, over the
 * group's real state machine and a real fence, under every interleaving of starts, failures, moves, splits, crashes,
 * leases that run out, and acts that arrive late.
 */

import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createMemoryClock } from '../../../src/adapters/memory/clock.ts';
import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import { MycelError } from '../../../src/kernel/errors.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import type { CellOptions, PartitionPolicy } from '../../../src/ports/agent-cell.ts';
import type { Calls } from '../../../src/ports/calls.ts';
import { createFence } from '../../../src/protocol/agreement/fence.ts';
import { Machine } from '../../../src/protocol/consensus/machine.ts';
import type { Command, Outcome } from '../../../src/protocol/consensus/machine-types.ts';
import { createAgentWords } from '../../../src/runtime/agents/agent-words.ts';
import { createClaims } from '../../../src/runtime/agents/claims.ts';
import { createCrew } from '../../../src/runtime/agents/crew.ts';
import type { Crew, HeldLock, Hold } from '../../../src/runtime/agents/crew.ts';
import type { Deployment } from '../../../src/runtime/agents/deployment.ts';
import { createMoving } from '../../../src/runtime/agents/moving.ts';
import type { Moving } from '../../../src/runtime/agents/moving.ts';
import { simNodeId as nodeNamed } from '../../sim/routing-mesh.ts';

const instance = 'valve#0';
const nodeCount = 3;

/** One act on its way to the sink: what it shows, and who does it. A holder is one taking of the instance by one node. */
interface Act {
  readonly fence: number;
  readonly holder: string;
}

interface Site {
  readonly id: NodeId;
  crew: Crew;
  moving: Moving;
  boot: number;
  /** Cut off from the other two, and so from the majority. */
  isCut: boolean;
  serves: Map<string, Parameters<Calls['serve']>[1]>;
  /** Locks it holds: told that they are lost only while it can be told. */
  readonly losses: Map<number, AbortController>;
}

/** The world of one history. */
function createStage(partition: PartitionPolicy) {
  const clock = createMemoryClock();
  const machine = new Machine();
  const cells: { open: CellOptions | undefined; fence: number; readonly holder: string }[] = [];
  const sites: Site[] = [];
  let index = 0;
  let commandCount = 0;
  const wanted: Deployment = {
    name: 'valve',
    count: 1,
    by: nodeNamed(0),
    hash: 'code',
    replicas: 1,
    isAuto: false,
    society: 'mesh',
    requires: [],
    tasks: [],
    bids: false,
    partition,
    homes: [],
    prefers: [],
    spread: undefined,
    select: '',
    pinned: undefined,
    isolation: 'in-process',
    heapMb: 64,
  };

  function decide(command: Command, advanceMs = 0): Outcome {
    index += 1;
    commandCount += 1;
    return machine.apply(index, { client: 'test', number: commandCount, advanceMs, command })
      .outcome;
  }

  /** Nobody hears of a session that has ended before he is connected; then at once. */
  function tellLosses(): void {
    for (const site of sites) {
      if (site.isCut) continue;
      for (const [session, control] of site.losses) {
        if (machine.session(session) !== undefined) continue;
        site.losses.delete(session);
        control.abort(new MycelError('MYCEL_LOCK_LOST'));
      }
    }
  }

  const holdOn =
    (site: Site): Hold =>
    async (name, { signal }): Promise<HeldLock> => {
      const { boot } = site;
      const mayGoOn = (): boolean => !site.isCut && site.boot === boot && !signal.aborted;
      for (let turn = 0; !mayGoOn(); turn += 1) {
        if (signal.aborted || turn > 40 || site.boot !== boot)
          throw new MycelError('MYCEL_LOCK_BUSY');
        await setImmediate();
      }
      const opened = decide({ op: 'openSession', node: site.id, ttlMs: 3_000 });
      const session = opened.type === 'done' ? opened.index : 0;
      const claim = { session, name, owner: `${site.id} ${session}` };
      const asked = decide({ op: 'acquire', ...claim, permits: 1, mayWait: true });
      let token = asked.type === 'granted' ? asked.token : 0;
      for (let turn = 0; token === 0; turn += 1) {
        if (signal.aborted || site.boot !== boot || turn > 40) {
          if (mayGoOn()) decide({ op: 'closeSession', session });
          throw new MycelError('MYCEL_LOCK_BUSY');
        }
        await setImmediate();
        const mine = machine.lock(name)?.holders.find((one) => one.session === session);
        if (mine !== undefined && !site.isCut) ({ token } = mine);
      }
      const lost = new AbortController();
      site.losses.set(session, lost);
      return {
        token,
        lost: lost.signal,
        async release() {
          site.losses.delete(session);
          // What cannot be said does not arrive: the session then ends by its time to live.
          if (!site.isCut && site.boot === boot) decide({ op: 'closeSession', session });
        },
      };
    };

  const callsOf = (site: Site): Calls =>
    ({
      serve(method: string, handler: Parameters<Calls['serve']>[1]) {
        site.serves.set(method, handler);
        return () => void site.serves.delete(method);
      },
      async call(to: NodeId, method: string, body: Uint8Array) {
        await setImmediate();
        const other = sites.find(({ id }) => id === to);
        if (other === undefined || other.isCut || site.isCut)
          throw new MycelError('MYCEL_UNREACHABLE');
        const handler = other.serves.get(method);
        if (handler === undefined) throw new MycelError('MYCEL_UNKNOWN_METHOD');
        const { signal } = new AbortController();
        const answer = await handler(body, { from: site.id, key: '', deadlineMs: 1_000, signal });
        // It was done, and nobody hears of it.
        if (sites.some((one) => one === site && one.isCut)) throw new MycelError('MYCEL_DEADLINE');
        return answer;
      },
    }) as unknown as Calls;

  /** A node from its start on: nothing of an earlier boot is left but what is on its way. */
  function boot(site: Site): void {
    site.boot += 1;
    site.serves = new Map();
    site.losses.clear();
    const { boot: life } = site;
    const claims = createClaims(() => {});
    const log = createMemoryLog();
    const world = {
      calls: callsOf(site),
      clock,
      log,
      mesh: {
        self: site.id,
        peers: () => sites.map(({ id }) => id).filter((id) => id !== site.id),
      },
      metrics: { count() {}, drop() {} },
      random: () => createRandom(site.boot),
    } as never;
    let takes = 0;
    const checkpoints = {
      save: async () => {},
      restore: async () => undefined,
      local: () => undefined,
      forget() {},
      start() {},
      stop() {},
    };
    site.crew = createCrew({
      world,
      bundles: { fetch: async () => ({ code: '' }) } as never,
      checkpoints,
      claims,
      tasks: {} as never,
      port: () => ({ perform: async () => undefined }),
      hold: holdOn(site),
      pass: () => undefined,
      isStopped: () => site.boot !== life,
      tell() {},
      soon() {},
      cells: {
        inspect: () => Promise.reject(new Error('not asked')),
        // What an agent does is drawn by the history; the memory of its cell is its fence.
        open(_, options) {
          const cell = { open: options as CellOptions | undefined, fence: 0, holder: '' };
          return {
            tell(word) {
              if (word.t === 'start') {
                // Every taking has a fence of its own; runs that are restarted within it are the same holder.
                const known = cells.find(
                  (one) =>
                    one.holder.startsWith(`${site.id} ${life} `) && one.fence === word.info.fence,
                );
                if (known === undefined) takes += 1;
                const holder = known?.holder ?? `${site.id} ${life} ${takes}`;
                cells.push(Object.assign(cell, { fence: word.info.fence, holder }));
                void Promise.resolve().then(() => options.said({ t: 'ready' }));
              } else if (word.t === 'stop') {
                cell.open = undefined;
                void Promise.resolve().then(() => options.ended(undefined));
              }
            },
            kill() {
              const was = cell.open;
              cell.open = undefined;
              if (was !== undefined) void Promise.resolve().then(() => options.ended('killed'));
            },
          };
        },
      },
    });
    site.moving = createMoving({
      world,
      crew: site.crew,
      claims,
      checkpoints,
      deployment: () => wanted,
      place: () => sites.find(({ id }) => id !== site.id)?.id,
      moved() {},
      setDraining() {},
      untilDraining: () => Promise.resolve(),
      tell() {},
      soon() {},
    });
    createAgentWords({
      world,
      crew: site.crew,
      claims,
      moving: site.moving,
      deployment: () => wanted,
      learn() {},
    }).serve();
  }

  for (let at = 0; at < nodeCount; at += 1) {
    const site = { id: nodeNamed(at), boot: 0, isCut: false, serves: new Map(), losses: new Map() };
    sites.push(site as unknown as Site);
  }
  for (const site of sites) boot(site);

  return { sites, cells, clock, machine, wanted, boot, decide, tellLosses };
}

type Step =
  | { readonly do: 'take' | 'cut' | 'heal' | 'crash' | 'fail' | 'retire'; readonly at: number }
  | { readonly do: 'migrate'; readonly at: number; readonly to: number }
  /** Any cell that was ever opened shows its fence, however long ago it lost it. */
  | { readonly do: 'act'; readonly which: number }
  | { readonly do: 'expire' | 'wait' };

const at = fc.nat(nodeCount - 1);
const steps = (length: number): fc.Arbitrary<readonly Step[]> =>
  fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant('take' as const), at }) },
      { weight: 8, arbitrary: fc.record({ do: fc.constant('act' as const), which: fc.nat(99) }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('migrate' as const), at, to: at }) },
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constantFrom('cut', 'cut', 'heal', 'heal', 'crash', 'fail', 'retire'),
          at,
        }),
      },
      {
        weight: 5,
        arbitrary: fc.record({ do: fc.constantFrom('expire' as const, 'wait' as const) }),
      },
    ),
    { minLength: 30, maxLength: length },
  );

/** Plays a history; gives what the sink let through, in order. */
async function play(
  history: readonly Step[],
  partition: PartitionPolicy,
): Promise<{ accepted: Act[]; refused: number; holders: number }> {
  const stage = createStage(partition);
  const { sites, cells, clock } = stage;
  const sink = createFence();
  const accepted: Act[] = [];
  let refused = 0;
  // An act is on its way for a while: acts of one history overtake each other.
  const show = (act: Act): void => {
    if (sink.admit('valve', act.fence) === 'accepted') accepted.push(act);
    else refused += 1;
  };
  for (const step of history) {
    const site = 'at' in step ? (sites[step.at] as Site) : undefined;
    if (step.do === 'take' && site !== undefined && !site.crew.running.has(instance)) {
      void site.crew.take(stage.wanted, instance);
    } else if (step.do === 'migrate' && site !== undefined) {
      const to = sites[step.to]?.id ?? site.id;
      if (site.crew.running.get(instance)?.instance !== undefined)
        void site.moving.migrateHere(instance, to, 1_000).catch(() => {});
    } else if (step.do === 'cut' && site !== undefined) site.isCut = true;
    else if (step.do === 'heal' && site !== undefined) site.isCut = false;
    else if (step.do === 'crash' && site !== undefined) stage.boot(site);
    else if (step.do === 'fail') site?.crew.running.get(instance)?.instance?.fail('drawn');
    else if (step.do === 'retire' && site !== undefined) {
      const own = site.crew.running.get(instance);
      if (own?.instance !== undefined) void site.crew.retire(instance, own, false);
    } else if (step.do === 'expire') {
      // The sessions that are heard go on; those of nodes that are cut off or dead end.
      for (const { isCut, losses } of sites) {
        if (isCut) continue;
        for (const session of losses.keys()) stage.decide({ op: 'keepSession', session });
      }
      stage.decide({ op: 'clock' }, 4_000);
    } else if (step.do === 'act' && cells.length > 0) {
      const { fence, holder } = cells[step.which % cells.length] as Act;
      show({ fence, holder });
    }
    for (let turn = 0; turn < 3; turn += 1) {
      stage.tellLosses();
      clock.advance(step.do === 'wait' ? 1_000 : 20);
      await setImmediate();
    }
  }
  // Whoever still believes that it holds it acts once more, in any order.
  for (const { fence, holder } of [...cells, ...cells.toReversed()]) show({ fence, holder });
  for (const site of sites) {
    stage.boot(site);
  }
  return { accepted, refused, holders: new Set(cells.map(({ holder }) => holder)).size };
}

/** Fences under which the sink let more than one holder through. */
function shared(accepted: readonly Act[]): number[] {
  const holders = new Map<number, Set<string>>();
  for (const { fence, holder } of accepted) {
    holders.set(fence, (holders.get(fence) ?? new Set()).add(holder));
  }
  return [...holders].filter(([, all]) => all.size > 1).map(([fence]) => fence);
}

const runs = Number(process.env['FENCE_HISTORIES'] ?? 300);

test('under a lock at most one holder of each fence passes the sink, and nobody after a later one', async () => {
  let accepted = 0;
  let refused = 0;
  let holders = 0;
  await fc.assert(
    fc.asyncProperty(steps(90), async (history) => {
      const played = await play(history, 'pause-minority');
      expect(shared(played.accepted)).toEqual([]);
      const fences = played.accepted.map(({ fence }) => fence);
      expect(fences).toEqual(fences.toSorted((one, other) => one - other));
      accepted += played.accepted.length;
      refused += played.refused;
      holders += played.holders;
    }),
    { numRuns: runs },
  );
  console.info(
    `${runs} histories: ${holders} holders, ${accepted} acts accepted, ${refused} refused`,
  );
  // The property is about something.
  expect(holders).toBeGreaterThan(runs);
  expect(accepted).toBeGreaterThan(runs);
  expect(refused).toBeGreaterThan(runs / 2);
}, 600_000);

test('the same histories without a lock do share fences: each side of a split may run it, as that policy says', async () => {
  const found = await fc.check(
    fc.asyncProperty(steps(90), async (history) => {
      const { accepted } = await play(history, 'run-everywhere-and-merge');
      return shared(accepted).length === 0;
    }),
    { numRuns: 300 },
  );
  expect(found.failed).toBe(true);
}, 120_000);
