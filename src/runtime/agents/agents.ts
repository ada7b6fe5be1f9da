/** Agents of a mesh at work: deployed anywhere, run where they fit, once each, and elsewhere when their node is gone. */

import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { AgentFacts } from '../../ports/agent-cell.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import { loadIdentity } from '../identity.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import type { Pages } from '../services/pages.ts';
import type { Services } from '../services/services.ts';
import type { Tasks } from '../tasks/tasks.ts';
import type { ModelsFor } from './agent-llm.ts';
import { createAgentPort } from './agent-port.ts';
import { createAgentWords } from './agent-words.ts';
import { agentCodeBytesMax, packBundle, standAlone } from './bundle.ts';
import { createBundles } from './bundles.ts';
import { createCheckpoints } from './checkpoints.ts';
import { beats, createClaims } from './claims.ts';
import { createCrew } from './crew.ts';
import type { Hold } from './crew.ts';
import { createMoving } from './moving.ts';
import { deploymentOf, deploymentsMax, isLater, numberOf, readDeployments } from './deployment.ts';
import type { Deployment } from './deployment.ts';
import { instancesMax, writeAgentsPage } from './agents-page.ts';
import type { AgentsPage } from './agents-page.ts';
import { livePage, untilDraining } from './live-page.ts';
import { createOneWriter } from './one-writer.ts';
import type { LivePage } from './live-page.ts';
import type { AgentHealth, AgentInfo, Deployed, DeployOptions } from './deploy-options.ts';
import { dueOf, healthOf, listOf } from './health.ts';
import { createGate } from './gate.ts';
import { createHostingAuction } from './hosting-auction.ts';
import { place } from './placing.ts';

/** How long a change waits for others of its moment before it is told, in ms. */
const tellMs = 10;

/** After a start, how long a node listens before it runs what it remembers, in ms: others may have it by now. */
const settleMs = 1_500;

/** The agents of a node. */
export interface Agents extends NodePart {
  deploy(source: string, options?: DeployOptions): Promise<Deployed>;
  undeploy(name: string): Promise<void>;
  list(): readonly AgentInfo[];
  /** How each deployed agent fares, all its instances taken together. */
  health(): readonly AgentHealth[];
  /** What belongs on this node now, whether it runs or not. */
  due(): ReturnType<typeof dueOf>;
  /** Moves everything off a node and keeps it empty; `false` lets it take part again. */
  drain(node: NodeId, isDraining: boolean): Promise<{ readonly moved: number }>;
  migrate(instance: string, to: NodeId): Promise<void>;
  /** Puts a message into an agent's mailbox, wherever it runs. @throws {MycelError} MYCEL_UNKNOWN_AGENT, MYCEL_MAILBOX_FULL */
  send(to: string, body: unknown, from?: string): Promise<void>;
}

/** The parts of the node that they use. */
interface AgentsParts {
  readonly pages: Pages;
  readonly services: Services;
  readonly tasks: Tasks;
  readonly hold: Hold;
  readonly modelsFor: ModelsFor;
}

/** Builds them. */
export function createAgents(world: PartWorld, parts: AgentsParts): Agents {
  const { pages, services, tasks, hold, modelsFor } = parts;
  const { cells } = world.adapters;
  const { calls, clock, log, mesh, store } = world;
  const random = world.random();
  const claims = createClaims(() => void (isStale && refresh()));
  const checkpoints = createCheckpoints(world);
  const deployments = new Map<string, Deployment>();
  const bundles = createBundles(world);
  let isDraining = false;
  let isStopped = true;
  /** Something here has changed since the claims were taken in: done when they are looked at, once for many changes. */
  let isStale = false;
  /** Nothing is taken before this: what others hold by now may not be known here yet. */
  let takesFrom = 0;
  let soonAt = Infinity;
  let cancelSoon = (): void => {};
  let cancelTell: (() => void) | undefined;
  let ends: (() => void)[] = [];
  let gate: ReturnType<typeof createGate> | undefined;
  const crew = createCrew({
    world,
    cells,
    bundles,
    checkpoints,
    claims,
    tasks,
    hold,
    port: () => port,
    pass: () => gate?.pass(),
    isStopped: () => isStopped,
    tell: () => tell(),
    soon,
  });
  const { running } = crew;
  const hosting = createHostingAuction(world, () => running.size);
  const moving = createMoving({
    world,
    crew,
    claims,
    checkpoints,
    deployment: (name) => deployments.get(name),
    place: (wanted, instance) =>
      place(world, wanted, livePages(), claims, { moving: instance })[numberOf(instance)],
    setDraining: (is) => void (isDraining = is),
    untilDraining: (node, is) => untilDraining(pages, clock, node, is),
    moved: rehome,
    tell: () => tell(),
    soon,
  });
  const words = createAgentWords({
    world,
    crew,
    claims,
    moving,
    deployment: (name) => deployments.get(name),
    learn: (words) => void learn(words),
  });
  const port = createAgentPort({
    world,
    services,
    checkpoints,
    claims,
    modelsFor,
    pass: () => gate?.pass(),
    deliver: crew.deliver,
    send,
    society: (name) => deployments.get(name)?.society ?? 'mesh',
    tie: words.tie,
  });

  // What is known, and what is told.

  /** Many changes of one moment are one word to the others. */
  function tell(): void {
    if (isStopped) return;
    isStale = true;
    cancelTell ??= clock.alarm(clock.now() + tellMs, () => {
      cancelTell = undefined;
      if (isStale) refresh();
      const page: AgentsPage = {
        isDraining,
        deployments: [...deployments.values()],
        claims: crew.claimsHere(),
      };
      try {
        pages.write('agents', writeAgentsPage(page));
      } catch (error) {
        log.error({ error }, 'the agents here could not be told');
      }
    });
  }

  function livePages(): LivePage[] {
    const others = pages
      .read('agents')
      .filter(({ node }) => node !== mesh.self)
      .map(({ node, value }) => livePage(node, value));
    const own = { isDraining, deployments: [] };
    return [{ node: mesh.self, page: own, held: crew.heldHere }, ...others];
  }

  const sitesOf = (wanted: Deployment) => place(world, wanted, livePages(), claims);

  /** Takes in words about deployments; true when one is new. */
  function learn(words: readonly Deployment[]): boolean {
    let isNew = false;
    for (const word of words) {
      const known = deployments.get(word.name);
      if (!isLater(word, known)) continue;
      if (known === undefined && deployments.size >= deploymentsMax) continue;
      deployments.set(word.name, word);
      isNew = true;
    }
    return isNew;
  }

  /** Takes in what the pages say; true when a deployment is new. */
  function refresh(): boolean {
    isStale = false;
    const all = livePages();
    const isNew = learn(all.flatMap(({ page }) => page.deployments));
    for (const effect of claims.update(all.map(({ held }) => held()))) {
      if (effect.type === 'tell') {
        const { watcher, subject, reason, ref } = effect;
        crew.deliver(watcher, { type: 'down', instance: subject, reason, ref }, true);
      } else
        running
          .get(effect.agent)
          ?.instance?.fail(`${effect.because}, to which it is linked, failed`);
    }
    return isNew;
  }

  function learned(): void {
    if (isStopped) return;
    if (refresh()) {
      void save();
      soon(0);
      tell();
    } else soon(20);
  }

  /** Whoever is at home on one node only has moved with its home. */
  function rehome(instance: string, to: NodeId): void {
    const known = deployments.get(instance.slice(0, instance.lastIndexOf('#')));
    if (known === undefined || known.homes.length === 0) return;
    const homes = known.homes.with(numberOf(instance), to);
    deployments.set(known.name, { ...known, homes, count: known.count + 1, by: mesh.self });
    void save();
  }

  const save = createOneWriter(() =>
    store
      .write('agents-deployments', encodeCbor([...deployments.values()]))
      .catch((error: unknown) => log.warn({ error }, 'the deployments could not be kept')),
  );

  // What runs here.

  function soon(ms: number): void {
    const at = clock.now() + ms;
    if (at >= soonAt) return;
    cancelSoon();
    soonAt = at;
    cancelSoon = clock.alarm(at, () => {
      soonAt = Infinity;
      reconcile();
    });
  }

  function reconcile(): void {
    if (isStopped) return;
    for (const [instance, own] of running) {
      const best = claims.holder(instance);
      if (
        best !== undefined &&
        best.node !== mesh.self &&
        beats(best, { epoch: own.epoch, node: mesh.self })
      ) {
        crew.lose(instance, own, best.node);
        continue;
      }
      const wanted = deployments.get(own.agent);
      const number = numberOf(instance);
      if (wanted?.hash === undefined || (!wanted.isAuto && number >= wanted.replicas))
        void crew.retire(instance, own, true);
      else if (wanted.isAuto && number >= sitesOf(wanted).length)
        // Fewer nodes fit than did: they may be back, and its state with them.
        void crew.retire(instance, own, false);
      else if (wanted.hash !== own.hash) void crew.retire(instance, own, false).then(() => soon(0));
    }
    if (clock.now() < takesFrom) return;
    const all = livePages();
    for (const wanted of deployments.values()) {
      if (wanted.hash === undefined) continue;
      const placed = place(world, wanted, all, claims);
      for (const [number, node] of placed.entries()) {
        const instance = `${wanted.name}#${number}`;
        if (node !== mesh.self || running.has(instance)) continue;
        if (running.size >= instancesMax) return;
        void crew.take(wanted, instance);
      }
    }
  }

  /** What ran here may run elsewhere by now: it is given up first, and nothing taken until the pages are told anew. */
  async function afterFreeze(): Promise<void> {
    takesFrom = Infinity;
    await crew.recheck();
    takesFrom = clock.now() + settleMs;
    soon(settleMs);
  }

  // Words of other nodes.

  async function send(to: string, body: unknown, from: string = ''): Promise<void> {
    const found = claims.all().filter(({ instance, agent }) => instance === to || agent === to);
    const here = found.find(({ node }) => node === mesh.self);
    const target = here ?? found[random.below(found.length)];
    if (target === undefined) {
      throw new MycelError('MYCEL_UNKNOWN_AGENT', {
        reason: `No agent '${to.slice(0, 64)}' runs.`,
      });
    }
    if (target.node === mesh.self) return words.mailHere(target.instance, from, body);
    const mail = encodeCbor({ instance: target.instance, from, body });
    await calls.call(target.node, 'agents/mail', mail, { deadlineMs: 5_000 });
  }

  // Moving.

  async function inspect(source: string): Promise<{ code: string; facts: AgentFacts }> {
    if (source.length > agentCodeBytesMax)
      throw new MycelError('MYCEL_BAD_AGENT', { reason: 'It is too long.' });
    const code = standAlone(source);
    return { code, facts: await cells.inspect(code) };
  }

  return {
    async start() {
      isStopped = false;
      const stored = await store.read('agents-deployments');
      if (stored !== undefined) {
        for (const one of readDeployments(decodeCbor(Uint8Array.from(stored))))
          deployments.set(one.name, one);
      }
      checkpoints.start();
      gate = createGate(clock, afterFreeze);
      ends = [
        bundles.serve(),
        hosting.serve(),
        ...words.serve(),
        pages.onChange(learned),
        mesh.onChange((change) => change.kind === 'down' && soon(0)),
      ];
      if (deployments.size > 0) tell();
      soon(settleMs);
    },
    async stop() {
      isStopped = true;
      cancelSoon();
      soonAt = Infinity;
      cancelTell?.();
      gate?.stop();
      for (const end of ends.splice(0)) end();
      await crew.stop();
      checkpoints.stop();
    },
    async deploy(source, options = {}) {
      const { code, facts } = await inspect(source);
      const name = options.name ?? facts.name;
      if (!/^[a-z][a-z0-9-]{0,62}$/.test(name)) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: `'${name.slice(0, 64)}' cannot name an agent: small letters, digits and -.`,
        });
      }
      const known = deployments.get(name);
      if (known === undefined && deployments.size >= deploymentsMax) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: `A mesh has ${deploymentsMax} deployments at most.`,
        });
      }
      const { keys } = await loadIdentity(store, 0, log);
      const bundle = packBundle(code, keys);
      const count = (known?.count ?? 0) + 1;
      const draft = deploymentOf(facts, options, { name, count, by: mesh.self, hash: bundle.hash });
      // Refused before anything is told: nothing is half-deployed.
      place(world, draft, livePages(), claims, { mustFit: true });
      const hosts = await hosting.run(options, draft, livePages());
      const bid = { ...draft, prefers: hosts?.map(({ node }) => node) ?? [] };
      const homes = sitesOf(bid).map((node) => node ?? mesh.self);
      const word = bid.partition === 'sticky-home' ? { ...bid, homes } : bid;
      await bundles.keep(bundle);
      deployments.set(name, word);
      await save();
      tell();
      reconcile();
      return { name, hash: bundle.hash, replicas: word.replicas, ...(hosts && { hosts }) };
    },
    async undeploy(name) {
      const known = deployments.get(name);
      if (known?.hash === undefined) {
        throw new MycelError('MYCEL_UNKNOWN_AGENT', {
          reason: `'${name.slice(0, 64)}' is not deployed.`,
        });
      }
      deployments.set(name, { ...known, count: known.count + 1, by: mesh.self, hash: undefined });
      await save();
      tell();
      reconcile();
    },
    list: () => listOf(claims.all()),
    health: () => healthOf([...deployments.values()], claims.all(), sitesOf),
    due: () => dueOf([...deployments.values()], claims, sitesOf, mesh.self),
    send,
    drain: (node, on) => (node === mesh.self ? moving.drainHere(on) : moving.drainThere(node, on)),
    async migrate(instance, to) {
      const holder = claims.holder(instance);
      if (holder === undefined) {
        throw new MycelError('MYCEL_UNKNOWN_AGENT', {
          reason: `No instance '${instance.slice(0, 64)}' runs.`,
        });
      }
      if (holder.node === mesh.self) return moving.migrateHere(instance, to, 30_000);
      await calls.call(holder.node, 'agents/leave', encodeCbor({ instance, to }), {
        deadlineMs: 30_000,
      });
    },
  };
}
