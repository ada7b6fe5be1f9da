/** A fleet in virtual time: the two cores of a roll-out, disks and a launcher, with power that goes at any step. */

import type { NodeId } from '../../src/kernel/ids.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';
import { createInstallation } from '../../src/protocol/rollout/installation.ts';
import type {
  InstallationEffect,
  InstallationInput,
  KeptOrder,
} from '../../src/protocol/rollout/installation.ts';
import type { Order } from '../../src/protocol/rollout/messages.ts';
import { createRollout } from '../../src/protocol/rollout/rollout.ts';
import type {
  KeptRollout,
  Outcome,
  RolloutEffect,
  RolloutInput,
} from '../../src/protocol/rollout/rollout.ts';
import { EventHeap } from './event-heap.ts';

/** How a new version does on one node. */
export type Fitness = 'well' | 'sick' | 'crashes' | 'flaps';

/** What goes wrong. */
export interface FleetOptions {
  readonly seed: number;
  readonly count: number;
  /** @default everybody is well */
  readonly fitness?: (at: number) => Fitness;
  /** Chance that the power goes between two effects of a node. @default 0 */
  readonly cut?: number;
  /** The same for the node that rolls out. @default `cut` */
  readonly coordinatorCut?: number;
  /** Chance that an order or its answer is lost. @default 0 */
  readonly loss?: number;
  readonly canary?: number;
  readonly batch?: number;
}

/** What a node has on disk. */
interface Disk {
  current: string;
  previous: string;
  trial: { version: string; left: number } | undefined;
  givenUp: string | undefined;
  kept: KeptOrder | undefined;
  installed: Set<string>;
}

const startMs = 4_000;
const fetchMs = 3_000;
const healthyForMs = 10_000;
const trialMs = 60_000;

/** Times of interest. */
export interface FleetTrace {
  /** Most nodes that were not running at the same time, power cuts not counted. */
  mostAway: number;
  /** When each node was first put on trial. */
  readonly firstTrialAt: Map<number, number>;
  firstFailureAt: number;
  canariesKeptAt: number;
}

/** A fleet. */
export class Fleet {
  now = 0;
  outcome: Outcome | undefined;
  reason = '';
  readonly trace: FleetTrace = {
    mostAway: 0,
    firstTrialAt: new Map(),
    firstFailureAt: Infinity,
    canariesKeptAt: Infinity,
  };
  readonly #agenda = new EventHeap();
  readonly #random: Random;
  readonly #options: FleetOptions;
  readonly #hosts: FleetHost[];

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#random = createRandom(options.seed);
    this.#hosts = Array.from({ length: options.count }, (_, at) => new FleetHost(this, at));
    for (const host of this.#hosts) host.start();
  }

  host(at: number): FleetHost {
    return this.#hosts[at] as FleetHost;
  }

  versions(): string[] {
    return this.#hosts.map(({ running }) => running ?? 'down');
  }

  fitness(at: number): Fitness {
    return this.#options.fitness?.(at) ?? 'well';
  }

  chance(): number {
    return this.#random.unit();
  }

  isCut(at: number): boolean {
    const { cut = 0, coordinatorCut = cut } = this.#options;
    return this.chance() < (at === 0 ? coordinatorCut : cut);
  }

  after(ms: number, call: () => void): void {
    this.#agenda.push(this.now + ms, this.#random.below(2 ** 30), call);
  }

  /** Node 0 rolls out to everybody, itself last. */
  begin(version: string, number = 1): void {
    const { count, canary = 2, batch = 4 } = this.#options;
    const order = Array.from({ length: count }, (_, at) => (at + 1) % count);
    this.outcome = undefined;
    this.host(0).rollout({
      type: 'begun',
      plan: {
        number,
        version,
        targets: order.map((at) => `${at}` as NodeId),
        canary,
        batch,
        patienceMs: 180_000,
        revertPatienceMs: 600_000,
      },
    });
  }

  run(ms: number): void {
    const end = this.now + ms;
    for (let steps = 0; this.#agenda.nextAt() <= end; steps += 1) {
      if (steps > 2_000_000) throw new Error(`livelock at ${this.now}`);
      this.now = this.#agenda.nextAt();
      this.#agenda.pop()?.();
      const away = this.#hosts.filter((host) => host.isRestarting).length;
      this.trace.mostAway = Math.max(this.trace.mostAway, away);
    }
    this.now = end;
  }

  /** An order travels to a node and the report back. */
  send(order: Order, to: number): void {
    const { loss = 0 } = this.#options;
    const isLost = (): boolean => this.chance() < loss;
    if (isLost()) return;
    this.after(5 + this.chance() * 40, () => {
      const target = this.host(to);
      if (target.running === undefined) return;
      target.feed({ type: 'ordered', order });
      if (target.running === undefined || isLost()) return;
      const report = target.report();
      this.after(5 + this.chance() * 40, () => {
        this.host(0).rollout({ type: 'reported', node: `${to}` as NodeId, report });
      });
    });
  }
}

/** One node: its disk outlives its process. */
class FleetHost {
  readonly disk: Disk = {
    current: 'installed',
    previous: 'installed',
    trial: undefined,
    givenUp: undefined,
    kept: undefined,
    installed: new Set(['installed']),
  };
  running: string | undefined;
  isRestarting = false;
  #keptRollout: KeptRollout | undefined;
  #core = createInstallation();
  #rollout = createRollout();
  #life = 0;

  readonly fleet: Fleet;
  readonly at: number;

  constructor(fleet: Fleet, at: number) {
    this.fleet = fleet;
    this.at = at;
  }

  report(): ReturnType<ReturnType<typeof createInstallation>['view']> {
    return this.#core.view();
  }

  rolloutView(): KeptRollout | undefined {
    return this.#rollout.view();
  }

  /** What firmware-scripts/launch.sh does, then the process. */
  start(): void {
    const { disk, fleet } = this;
    this.isRestarting = false;
    this.#life += 1;
    let isTrial = false;
    this.running = disk.current;
    if (disk.trial !== undefined) {
      if (disk.trial.left > 0 && disk.installed.has(disk.trial.version)) {
        disk.trial = { ...disk.trial, left: disk.trial.left - 1 };
        this.running = disk.trial.version;
        isTrial = true;
        if (!fleet.trace.firstTrialAt.has(this.at))
          fleet.trace.firstTrialAt.set(this.at, fleet.now);
      } else {
        disk.givenUp = disk.trial.version;
        disk.trial = undefined;
      }
    }
    this.#core = createInstallation();
    if (isTrial && fleet.fitness(this.at) === 'crashes') return this.stop(1_000);
    const { running } = this;
    this.feed({ type: 'started', running, isTrial, givenUp: disk.givenUp, kept: disk.kept });
    if (this.at !== 0 || this.running === undefined) return;
    this.#rollout = createRollout();
    if (this.#keptRollout !== undefined)
      this.rollout({ type: 'restored', kept: this.#keptRollout });
  }

  /** The process ends, in good order or not, and starts again. */
  stop(afterMs: number): void {
    this.running = undefined;
    this.#life += 1;
    this.fleet.after(afterMs, () => this.start());
  }

  feed(input: InstallationInput): void {
    if (this.running === undefined) return;
    for (const effect of this.#core.step(this.fleet.now, input)) {
      if (this.fleet.isCut(this.at)) return this.stop(startMs + this.fleet.chance() * 20_000);
      this.#run(effect);
      if (this.running === undefined) return;
    }
    if (this.report().phase === 'failed') {
      this.fleet.trace.firstFailureAt = Math.min(this.fleet.trace.firstFailureAt, this.fleet.now);
    }
    this.#alarm(this.#core.deadline(), () => this.feed({ type: 'tick' }));
  }

  rollout(input: RolloutInput): void {
    if (this.running === undefined) return;
    for (const effect of this.#rollout.step(this.fleet.now, input)) {
      if (this.fleet.isCut(this.at)) return this.stop(startMs + this.fleet.chance() * 20_000);
      this.#runRollout(effect);
      if (this.running === undefined) return;
    }
    this.#alarm(this.#rollout.deadline(), () => this.rollout({ type: 'tick' }));
  }

  /** Too many alarms do no harm: a core is total, and its deadline says when it wants one. */
  #alarm(at: number, ring: () => void): void {
    if (at === Infinity) return;
    const life = this.#life;
    this.fleet.after(Math.max(1, at - this.fleet.now), () => {
      if (life === this.#life && this.running !== undefined) ring();
    });
  }

  #run(effect: InstallationEffect): void {
    const { disk, fleet } = this;
    switch (effect.type) {
      case 'persist':
        disk.kept = effect.kept;
        return;
      case 'install': {
        const life = this.#life;
        const { number, version } = effect.order;
        fleet.after(fetchMs, () => {
          if (life !== this.#life) return;
          disk.installed.add(version);
          this.feed({ type: 'installed', number });
        });
        return;
      }
      case 'abandon':
        return;
      case 'try':
        disk.givenUp = undefined;
        disk.trial = { version: effect.version, left: 3 };
        return;
      case 'probe':
        return fleet.after(10, () => this.feed({ type: 'probed', trouble: this.#trouble() }));
      case 'keep':
        disk.previous = disk.current;
        disk.current = effect.version;
        disk.trial = undefined;
        return;
      case 'drop':
        disk.trial = undefined;
        return;
      case 'revert':
        if (disk.current === effect.version) disk.current = disk.previous;
        return;
      case 'restart':
        this.isRestarting = true;
        return this.stop(startMs);
    }
  }

  #trouble(): string | undefined {
    const fitness = this.fleet.fitness(this.at);
    if (fitness === 'sick') return 'the probe fails';
    if (fitness === 'flaps' && Math.floor(this.fleet.now / 4_000) % 2 === 0) return 'it flaps';
    return undefined;
  }

  #runRollout(effect: RolloutEffect): void {
    switch (effect.type) {
      case 'persist': {
        this.#keptRollout = effect.kept;
        const { plan, targets } = effect.kept;
        const canaries = targets.slice(0, plan.canary);
        if (canaries.every(({ state }) => state === 'kept')) {
          const { trace } = this.fleet;
          trace.canariesKeptAt = Math.min(trace.canariesKeptAt, this.fleet.now);
        }
        return;
      }
      case 'order': {
        const plan = this.#keptRollout?.plan;
        if (plan === undefined) throw new Error('an order before it was written down');
        const { number, version } = plan;
        const order = { kind: effect.kind, number, version, healthyForMs, trialMs };
        return this.fleet.send(order, Number(effect.node));
      }
      case 'finished':
        this.fleet.outcome = effect.outcome;
        this.fleet.reason = effect.reason;
        return;
    }
  }
}
