/** The agents that this node runs: claimed, started with their last state, ended, and given up when another node holds them. */

import type { Cells } from '../../ports/agent-cell.ts';
import { decodeCbor } from '../../wire/cbor.ts';
import type { PartWorld } from '../parts.ts';
import type { AgentPort } from './agent-port.ts';
import type { Bundle } from './bundle.ts';
import type { Bundles } from './bundles.ts';
import type { Checkpoints } from './checkpoints.ts';
import { beats } from './claims.ts';
import type { Claims, HeldClaim } from './claims.ts';
import type { Claim, Deployment } from './deployment.ts';
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
  readonly epoch: number;
  instance: Instance | undefined;
  readonly endsWith: (() => void)[];
  /** Takes tasks while it runs, none while it does not or when it is another node's. */
  follow(isHere: boolean): void;
}

/** What a crew needs. */
export interface CrewWorld {
  readonly world: PartWorld;
  readonly cells: Cells;
  readonly bundles: Bundles;
  readonly checkpoints: Checkpoints;
  readonly claims: Claims;
  readonly tasks: Tasks;
  port(): AgentPort;
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
  /** Claims an instance and starts it. */
  take(wanted: Deployment, instance: string, given?: { readonly epoch: number }): Promise<void>;
  /** Ends it at once: another node holds it. */
  lose(instance: string, own: Running): void;
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
  const { calls, clock, log, mesh } = parts.world;
  const random = parts.world.random();
  const running = new Map<string, Running>();

  function claimsHere(): Claim[] {
    return [...running].map(([instance, { agent, epoch, instance: at }]) => ({
      agent,
      instance,
      epoch,
      state: at?.state() ?? 'starting',
      restarts: at?.restarts() ?? 0,
      since: at?.since() ?? clock.wallMs(),
    }));
  }

  /** Another node holds it by now: what runs here ends before it acts again. */
  function lose(instance: string, own: Running): void {
    log.warn(
      { instance, epoch: own.epoch },
      'another node holds this agent now; the copy here ends',
    );
    close(instance, own);
    own.instance?.kill();
    tell();
  }

  function close(instance: string, own: Running): void {
    running.delete(instance);
    for (const end of own.endsWith.splice(0)) end();
    own.follow(false);
  }

  async function retire(instance: string, own: Running, isForGood: boolean): Promise<void> {
    close(instance, own);
    await own.instance?.stop();
    if (isForGood) checkpoints.forget(instance);
    tell();
  }

  async function take(
    wanted: Deployment,
    instance: string,
    given?: { epoch: number },
  ): Promise<void> {
    const epoch = given?.epoch ?? claims.epoch(instance) + 1;
    const own: Running = {
      agent: wanted.name,
      hash: wanted.hash ?? '',
      epoch,
      instance: undefined,
      endsWith: [],
      follow: takeTasks(parts.tasks, wanted, instance, () => own.instance),
    };
    running.set(instance, own);
    claims.saw(instance, epoch);
    tell();
    try {
      const [bundle, saved] = await Promise.all([
        bundles.fetch(own.hash),
        checkpoints.restore(instance),
      ]);
      if (running.get(instance) !== own || parts.isStopped()) return;
      if (saved !== undefined && saved.epoch > epoch - (given === undefined ? 1 : 0)) {
        // Somebody held it as late as that, or later, whatever the pages here say: claim anew, above it.
        claims.saw(instance, saved.epoch);
        close(instance, own);
        return await take(wanted, instance);
      }
      own.instance = start(wanted, instance, own, bundle);
      own.follow(true);
      tell();
    } catch (error) {
      log.warn({ error, instance }, 'an agent could not be started here');
      if (running.get(instance) === own) close(instance, own);
      tell();
      soon(2_000);
    }
  }

  function start(wanted: Deployment, instance: string, own: Running, bundle: Bundle): Instance {
    return startInstance({
      agent: wanted.name,
      instance,
      node: mesh.self,
      fence: own.epoch,
      code: bundle.code,
      isolation: wanted.isolation,
      heapMb: wanted.heapMb,
      cells,
      clock,
      log,
      random: random.split(),
      saved: () => checkpoints.local(instance),
      pass: () => parts.pass(),
      perform: (op, args) =>
        parts
          .port()
          .perform(
            { agent: wanted.name, instance, epoch: own.epoch, endsWith: own.endsWith },
            op,
            args,
          ),
      changed: () => {
        if (running.get(instance) !== own || own.instance === undefined) return;
        own.follow(true);
        tell();
      },
      died(reason) {
        for (const end of own.endsWith.splice(0)) end();
        if (reason === 'failure') tell();
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
        for (const claim of decodeCbor(bytes) as HeldClaim[]) {
          const own = running.get(claim.instance);
          claims.saw(claim.instance, claim.epoch);
          if (
            own !== undefined &&
            claim.node !== mesh.self &&
            beats(claim, { epoch: own.epoch, node: mesh.self })
          ) {
            lose(claim.instance, own);
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
    take,
    lose,
    retire,
    close,
    deliver,
    recheck,
    async stop() {
      await Promise.all([...running.values()].map(async ({ instance }) => instance?.stop()));
      running.clear();
    },
  };
}
