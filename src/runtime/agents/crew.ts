/** The agents that this node runs: claimed, started with their last state, ended, and given up when another node holds them. */

import type { Cells } from '../../ports/agent-cell.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { callBodyBytesMax } from '../../kernel/call.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import type { PartWorld } from '../parts.ts';
import type { AgentPort } from './agent-port.ts';
import type { Bundle } from './bundle.ts';
import type { Bundles } from './bundles.ts';
import type { Checkpoints } from './checkpoints.ts';
import { beats } from './claims.ts';
import type { Claims, HeldClaim } from './claims.ts';
import type { Claim } from './agents-page.ts';
import type { Deployment } from './deployment.ts';
import { takeTasks } from './task-taking.ts';
import type { Tasks } from '../tasks/tasks.ts';
import { startInstance } from './instance.ts';
import type { Instance } from './instance.ts';

/** How long a woken node tries to reach others before it goes on alone, in ms. */
const aloneMs = 10_000;

/** One instance here. It is claimed from the first moment, and `instance` comes with its code and state. */
export interface Running {
  readonly agent: string;
  readonly hash: string;
  /** 0: it waits for a majority to say that it may run here. */
  epoch: number;
  /** The token of its lock where it has one, its epoch where it has none. */
  fence: number;
  /** What it last kept here. */
  saved: unknown;
  instance: Instance | undefined;
  readonly endsWith: (() => void)[];
  /** Takes tasks while it runs, none while it does not or when it is another node's. */
  follow(isHere: boolean): void;
  /** Gives its lock back, or stops waiting for it. */
  letGo(): Promise<void>;
}

/** A lock. */
export interface HeldLock {
  readonly token: number;
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

/** Takes one; rejects without a majority, or when it is another node's for long. */
export type Hold = (
  name: string,
  how: { readonly ttl: number; readonly wait: number; readonly signal: AbortSignal },
) => Promise<HeldLock>;

/** How long the lock of an agent outlives its node, and how long one waits for it in one go, in ms. */
const lockTtlMs = 3_000;
const lockWaitMs = 30_000;

/** What a crew needs. */
export interface CrewWorld {
  readonly world: PartWorld;
  readonly cells: Cells;
  readonly bundles: Bundles;
  readonly checkpoints: Checkpoints;
  readonly claims: Claims;
  readonly tasks: Tasks;
  port(): AgentPort;
  /** Takes a lock of the mesh: what runs under it runs once, and its token rises with every holder. */
  hold: Hold;
  pass(): Promise<void> | undefined;
  isStopped(): boolean;
  /** Something here changed: the page is to be written anew. */
  tell(): void;
  /** Look again at what should run, in so many ms. */
  soon(ms: number): void;
}

/** The crew of one node. */
export interface Crew {
  readonly running: ReadonlyMap<string, Running>;
  claimsHere(): Claim[];
  /** The same with this node's name. */
  heldHere(): HeldClaim[];
  /** Claims an instance and starts it. */
  take(wanted: Deployment, instance: string, given?: { readonly epoch: number }): Promise<void>;
  /** Ends it at once: another node holds it. */
  lose(instance: string, own: Running, to: NodeId): void;
  /** Ends it in peace. */
  retire(instance: string, own: Running, isForGood: boolean): Promise<void>;
  /** Takes it off the page. */
  close(instance: string, own: Running): void;
  deliver(instance: string, message: unknown, mayDropOldest: boolean): boolean;
  /** After a freeze: what others hold by now is given up here before anybody acts. */
  recheck(): Promise<void>;
  stop(): Promise<void>;
}

/** Builds one that runs nothing. */
export function createCrew(parts: CrewWorld): Crew {
  const { cells, bundles, checkpoints, claims, tell, soon } = parts;
  const { calls, clock, log, mesh, metrics } = parts.world;
  const random = parts.world.random();
  const running = new Map<string, Running>();

  function claimOf(instance: string, { agent, epoch, instance: at }: Running): Claim {
    return {
      agent,
      instance,
      epoch,
      state: at?.state() ?? 'starting',
      restarts: at?.restarts() ?? 0,
      since: at?.since() ?? clock.wallMs(),
    };
  }

  function claimsHere(): Claim[] {
    const claims: Claim[] = [];
    for (const [instance, own] of running) {
      if (own.epoch > 0) claims.push(claimOf(instance, own));
    }
    return claims;
  }

  function heldHere(): HeldClaim[] {
    const { self: node } = mesh;
    const held: HeldClaim[] = [];
    for (const [instance, own] of running) {
      if (own.epoch > 0) held.push(Object.assign(claimOf(instance, own), { node }));
    }
    return held;
  }

  /** Another node holds it by now: what runs here ends before it acts again. */
  function lose(instance: string, own: Running, to: NodeId): void {
    log.warn(
      { instance, epoch: own.epoch },
      'another node holds this agent now; the copy here ends',
    );
    close(instance, own);
    own.instance?.kill();
    void own.letGo();
    tell();
    if (own.saved === undefined) return;
    // Both sides of a split have gone on from the same state: what this one came to is the other's to merge.
    const body = encodeCbor({ instance, state: own.saved });
    calls
      .call(to, 'agents/merge', body, { deadlineMs: 5_000 })
      .catch((error: unknown) => log.debug({ error, instance }, 'a state was not merged'));
  }

  /** Its lock is lost, or may be: it ends at once and waits for it anew. */
  function pause(instance: string, own: Running): void {
    if (running.get(instance) !== own) return;
    log.warn({ instance }, 'no majority says any more that this agent may run here; it pauses');
    close(instance, own);
    own.instance?.kill();
    void own.letGo();
    tell();
    soon(500);
  }

  function close(instance: string, own: Running): void {
    running.delete(instance);
    for (const end of own.endsWith.splice(0)) end();
    own.follow(false);
  }

  async function retire(instance: string, own: Running, isForGood: boolean): Promise<void> {
    close(instance, own);
    await own.instance?.stop();
    await own.letGo();
    if (isForGood) checkpoints.forget(instance);
    tell();
  }

  function begin(wanted: Deployment, instance: string): Running {
    const own: Running = {
      agent: wanted.name,
      hash: wanted.hash ?? '',
      epoch: 0,
      fence: 0,
      saved: undefined,
      instance: undefined,
      endsWith: [],
      follow: takeTasks(parts.tasks, wanted, instance, () => own.instance),
      letGo: async () => {},
    };
    return own;
  }

  /** Waits until a majority says that it runs here and nowhere else. */
  async function hold(instance: string, own: Running): Promise<void> {
    const control = new AbortController();
    own.letGo = async () => control.abort();
    const held = await parts.hold(`agent/${instance}`, {
      ttl: lockTtlMs,
      wait: lockWaitMs,
      signal: control.signal,
    });
    own.letGo = () => held.release();
    if (running.get(instance) !== own) return;
    own.fence = held.token;
    own.epoch = Math.max(held.token, claims.epoch(instance) + 1);
    if (held.lost.aborted) throw held.lost.reason;
    held.lost.addEventListener('abort', () => pause(instance, own), { once: true });
  }

  async function take(
    wanted: Deployment,
    instance: string,
    given?: { epoch: number },
  ): Promise<void> {
    const own = begin(wanted, instance);
    running.set(instance, own);
    try {
      const isLocked = wanted.partition === 'pause-minority';
      // Given by its holder, it is this node's from here on, although the lock comes a moment later.
      own.epoch = given?.epoch ?? (isLocked ? 0 : claims.epoch(instance) + 1);
      if (isLocked) await hold(instance, own);
      if (running.get(instance) !== own || parts.isStopped()) return await own.letGo();
      const { epoch } = own;
      if (own.fence === 0) own.fence = epoch;
      claims.saw(instance, epoch);
      tell();
      const [bundle, saved] = await Promise.all([
        bundles.fetch(own.hash),
        checkpoints.restore(instance),
      ]);
      if (running.get(instance) !== own || parts.isStopped()) return await own.letGo();
      const isExact = given !== undefined || isLocked;
      if (saved !== undefined && saved.epoch > epoch - (isExact ? 0 : 1)) {
        // Somebody held it as late as that, or later, whatever the pages here say: claim anew, above it.
        claims.saw(instance, saved.epoch);
        close(instance, own);
        await own.letGo();
        return await take(wanted, instance);
      }
      own.instance = start(wanted, instance, own, bundle);
      metrics.count('agents.starts');
      own.follow(true);
      tell();
    } catch (error) {
      log.warn({ error, instance }, 'an agent could not be started here');
      if (running.get(instance) === own) close(instance, own);
      void own.letGo();
      tell();
      soon(2_000);
    }
  }

  function start(wanted: Deployment, instance: string, own: Running, bundle: Bundle): Instance {
    return startInstance({
      agent: wanted.name,
      instance,
      node: mesh.self,
      fence: own.fence,
      code: bundle.code,
      isolation: wanted.isolation,
      heapMb: wanted.heapMb,
      cells,
      clock,
      log,
      random: random.split(),
      saved: () => checkpoints.local(instance),
      pass: () => parts.pass(),
      perform(op, args) {
        if (op === 'checkpoint' && wanted.partition === 'run-everywhere-and-merge') {
          own.saved = args[0];
        }
        const { epoch, endsWith } = own;
        return parts.port().perform({ agent: wanted.name, instance, epoch, endsWith }, op, args);
      },
      changed: () => {
        if (running.get(instance) !== own || own.instance === undefined) return;
        own.follow(true);
        tell();
      },
      died(reason) {
        for (const end of own.endsWith.splice(0)) end();
        if (reason !== 'failure') return;
        metrics.count('agents.failures');
        tell();
      },
    });
  }

  function deliver(instance: string, message: unknown, mayDropOldest: boolean): boolean {
    return running.get(instance)?.instance?.deliver(message, mayDropOldest) ?? false;
  }

  async function recheck(): Promise<void> {
    if (running.size === 0) return;
    log.warn({}, 'this node was frozen; its agents wait until others have said what they hold');
    const until = clock.now() + aloneMs;
    while (!parts.isStopped() && clock.now() < until) {
      const answers = await Promise.allSettled(
        mesh
          .peers()
          .map((node) =>
            calls.call(node, 'agents/claims', new Uint8Array(0), { deadlineMs: 1_000 }),
          ),
      );
      const heard = answers.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      for (const bytes of heard) {
        for (const claim of decodeCbor(bytes, { bytesMax: callBodyBytesMax }) as HeldClaim[]) {
          const own = running.get(claim.instance);
          claims.saw(claim.instance, claim.epoch);
          if (
            own !== undefined &&
            claim.node !== mesh.self &&
            beats(claim, { epoch: own.epoch, node: mesh.self })
          ) {
            lose(claim.instance, own, claim.node);
          }
        }
      }
      if (heard.length > 0) return;
      await new Promise<void>((resolve) => void clock.alarm(clock.now() + 300, resolve));
    }
  }

  return {
    running,
    claimsHere,
    heldHere,
    take,
    lose,
    retire,
    close,
    deliver,
    recheck,
    async stop() {
      await Promise.all(
        [...running.values()].map(async ({ instance, letGo }) => {
          await instance?.stop();
          await letGo();
        }),
      );
      running.clear();
    },
  };
}
