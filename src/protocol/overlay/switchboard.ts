/**
 * Switches the overlay of a running mesh: the new one builds its links beside the old one, messages move over, then the
 * old links go. Every node follows the highest epoch it hears of; one that cannot follow takes the mesh back.
 *
 * Around any overlays. Sessions carry the epoch they were dialled for, so the two never touch each other's.
 * docs/protocols/overlay.md, "Switching".
 */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import type { AutoTopology } from './auto-topology.ts';
import { createChosenLinks } from './chosen-links.ts';
import { createOverlayFacts } from './overlay-facts.ts';
import type { Overlay, OverlayEffect, OverlayInput, SessionId } from './overlay.ts';
import { createRunning } from './running.ts';
import type { Running } from './running.ts';
import type {
  Switchboard,
  SwitchEffect,
  SwitchInput,
  TopologyRefusal,
} from './switchboard-types.ts';
import { historyMax, isNewer, isSameShape } from './topology.ts';
import type { Topology, TopologyChange, TopologyWish } from './topology.ts';

/** Knobs of a switchboard. */
export interface SwitchboardConfig {
  readonly self: NodeId;
  /** What the mesh ran when this node last knew, or what the node was started with (epoch 0). */
  readonly topology: Topology;
  /** Builds an overlay for a topology. */
  readonly create: (topology: Topology, random: Random) => Overlay;
  readonly auto: AutoTopology;
  /** Both overlays run at least so long, in ms. @default 15_000 */
  readonly bridgeMs?: Millis;
  /** When the new overlay does not hold after so long, the mesh goes back, in ms. @default 30_000 */
  readonly abortMs?: Millis;
  /** Least time between two settings by a person, in ms. @default 30_000 */
  readonly cooldownMs?: Millis;
  /** How long the sessions of an overlay that is left are still read, in ms. @default 250 */
  readonly lingerMs?: Millis;
}

/** How often a switch under way, and the size of the mesh, are looked at, in ms. */
const lookMs: Millis = 500;
const sizeMs: Millis = 1_000;

/** Members that may be lost during a switch before it counts as its fault: one, or this share. */
const lostShare = 0.05;

/** A member that died so recently still counts for the size of the mesh. */
const knownMs: Millis = 3_600_000;
const deadMax = 4096;

/** Sessions of left overlays that are still read; beyond it the oldest goes at once. */
const closingMax = 4096;

/** Why a session of another epoch is closed. */
const left = 'the mesh runs another topology';

/** Builds the switchboard. */
export function createSwitchboard(config: SwitchboardConfig, random: Random): Switchboard {
  const { self, auto } = config;
  const bridgeMs = Math.max(1, config.bridgeMs ?? 15_000);
  const abortMs = Math.max(bridgeMs, config.abortMs ?? 30_000);
  const cooldownMs = config.cooldownMs ?? 30_000;
  const lingerMs = Math.max(1, config.lingerMs ?? 250);
  const facts = createOverlayFacts();
  const chosen = createChosenLinks((effect) => effects.push(effect));
  const closing = new Map<SessionId, Millis>();
  const dead = new Map<NodeId, Millis>();
  const history: { topology: Topology; what: TopologyChange['what']; at: Millis }[] = [];
  let effects: SwitchEffect[] = [];
  let current = createRunning(config.topology, config.create(config.topology, random.split()));
  let next: Running | undefined;
  let begunAt: Millis = -Infinity;
  let lookAt: Millis = Infinity;
  let sizeAt: Millis = Infinity;
  let setAt: Millis = -Infinity;
  /** Members when the switch began, and how many of them have died since. */
  let membersThen = 0;
  let lostSince = 0;
  /** What to go back to while the last switch is young. */
  let before: Topology | undefined;

  const newest = (): Running => next ?? current;
  const all = (): Running[] => (next === undefined ? [current] : [current, next]);
  const ownerOf = (session: SessionId): Running | undefined =>
    all().find(({ sessions }) => sessions.has(session));

  function remember(now: Millis, topology: Topology, what: TopologyChange['what']): void {
    history.push({ topology, what, at: now });
    if (history.length > historyMax) history.shift();
    effects.push({ type: 'remember', topology });
  }

  function run(running: Running, now: Millis, input: OverlayInput): void {
    for (const effect of running.overlay.step(now, input)) take(running, now, effect);
  }

  function take(running: Running, now: Millis, effect: OverlayEffect): void {
    if (effect.type === 'dial') effects.push({ ...effect, mark: markOf(running) });
    else if (effect.type === 'announce') chosen.announced(running, effect, all());
    else {
      effects.push(effect);
      if (effect.type === 'note' && effect.code === 'overlay.torn' && running === current)
        torn(now);
    }
  }

  const markOf = ({ topology: { epoch, by } }: Running) => ({ epoch, by });

  /** Stops an overlay: links that the other one has not are announced down, its sessions read a moment longer. */
  function drop(now: Millis, running: Running, other: Running | undefined): void {
    chosen.dropped(running, other, left);
    for (const session of running.sessions) {
      closing.set(session, now + lingerMs);
      if (closing.size > closingMax) hangUp(closing.keys().next().value ?? session);
    }
    running.sessions.clear();
    running.links.clear();
  }

  function hangUp(session: SessionId): void {
    closing.delete(session);
    effects.push({ type: 'hangUp', session, reason: left });
  }

  function begin(topology: Topology): Running {
    return createRunning(topology, config.create(topology, random.split()));
  }

  function tellFacts(now: Millis, running: Running): void {
    for (const input of facts.told()) run(running, now, input);
  }

  /** Follows a newer register. What is built depends on what runs: nothing, when it is the same overlay. */
  function adopt(now: Millis, topology: Topology): void {
    if (next !== undefined) {
      const given = next;
      next = undefined;
      drop(now, given, current);
    }
    lookAt = Infinity;
    setAt = now;
    if (isSameShape(topology, current.topology)) {
      current.renew(topology);
      remember(now, topology, topology.isReturn ? 'rolledBack' : 'kept');
    } else if (current.links.size === 0) {
      // Nobody is lost by it: a newcomer, or a node that was away, starts with what the mesh runs now.
      drop(now, current, undefined);
      current = begin(topology);
      remember(now, topology, 'done');
      tellFacts(now, current);
      auto.switched(now);
    } else {
      next = begin(topology);
      begunAt = now;
      lookAt = now + lookMs;
      membersThen = facts.members().size;
      lostSince = 0;
      before = topology.isReturn ? undefined : current.topology;
      remember(now, topology, 'begun');
      tellFacts(now, next);
      auto.switched(now);
    }
    effects.push({ type: 'tell', topology });
  }

  function propose(now: Millis, wish: TopologyWish): void {
    const { epoch } = newest().topology;
    adopt(now, { ...wish, epoch: epoch + 1, by: self });
  }

  function goBack(now: Millis, to: Topology, reason: string): void {
    before = undefined;
    effects.push({ type: 'note', code: 'overlay.rolledBack', node: undefined });
    // An automatic choice that failed is not made again at once, and a person is to see it.
    propose(now, { ...to, isAuto: false, isReturn: true, reason: `rolled back: ${reason}` });
  }

  /** Whether the new overlay carries by itself. */
  function holds(running: Running): boolean {
    const members = facts.members().size;
    const { kind } = running.topology;
    const links = running.links.size;
    if (members === 0) return true;
    if (kind === 'full-mesh')
      return links >= Math.max(1, Math.min(2, members), Math.floor(members * 0.8));
    if (links < (kind === 'hyparview' ? Math.min(2, members) : 1)) return false;
    return isLowest() || running.pulseAt >= begunAt;
  }

  function isLowest(): boolean {
    for (const node of facts.members().keys()) if (node < self) return false;
    return true;
  }

  const isShrunk = (): boolean => lostSince > Math.max(1, membersThen * lostShare);

  /** An old link may go when the new overlay carries both of its ends: then no path is lost with it. */
  function mayCommit(to: Running): boolean {
    for (const node of current.links.keys()) if (!to.holding.has(node)) return false;
    return true;
  }

  function sayHolding(to: Running, sessions: Iterable<SessionId>): void {
    const { epoch, by } = to.topology;
    if (by === '') return;
    for (const session of sessions) {
      effects.push({ type: 'send', session, message: { kind: 'holding', epoch, by } });
    }
  }

  function look(now: Millis): void {
    if (next === undefined || now < lookAt) return;
    lookAt = now + lookMs;
    const { isReturn } = next.topology;
    if (isShrunk() && !isReturn)
      return goBack(now, current.topology, `${lostSince} members were lost`);
    if (holds(next)) {
      // Said again with each look: a link of the old overlay may be a new one.
      sayHolding(next, current.links.values());
      if (now - begunAt >= bridgeMs && mayCommit(next)) return commit(now, next);
    }
    if (now - begunAt < abortMs) return;
    // What failed before has nothing better to go back to.
    if (isReturn) return commit(now, next);
    goBack(now, current.topology, `${next.links.size} links after ${Math.round(abortMs / 1000)} s`);
  }

  function commit(now: Millis, to: Running): void {
    const old = current;
    current = to;
    next = undefined;
    lookAt = Infinity;
    drop(now, old, to);
    remember(now, to.topology, 'done');
  }

  /** The overlay that was switched to a moment ago has come apart. */
  function torn(now: Millis): void {
    if (before === undefined || next !== undefined) return;
    if (now - begunAt > 2 * abortMs) before = undefined;
    else goBack(now, before, 'the mesh fell into pieces');
  }

  function shrink(now: Millis): void {
    lostSince += 1;
    if (next !== undefined || before === undefined || !isShrunk() || !isLowest()) return;
    if (now - begunAt <= 2 * abortMs) goBack(now, before, `${lostSince} members were lost`);
  }

  function measure(now: Millis): void {
    const { topology } = current;
    if (!topology.isAuto || next !== undefined || now < sizeAt) return;
    sizeAt = now + sizeMs;
    for (const [node, at] of dead) if (now - at > knownMs) dead.delete(node);
    if (!isLowest()) return;
    let leaves = 0;
    for (const { role } of facts.members().values()) if (role === 'leaf') leaves += 1;
    const size = { known: facts.members().size + dead.size + 1, leaves };
    const advice = auto.look(now, topology.kind, topology.hint, size);
    if (advice === undefined) return;
    const { kind, reason } = advice;
    const automatic = { kind, hubs: [], isReturn: false, reason: `automatic: ${reason}` };
    propose(now, { ...topology, ...automatic });
  }

  function note(now: Millis, input: OverlayInput): void {
    facts.note(input);
    if (input.type === 'memberUp') dead.delete(input.node);
    if (input.type !== 'memberGone') return;
    if (input.reason !== 'dead') return void dead.delete(input.node);
    if (dead.size < deadMax) dead.set(input.node, now);
    shrink(now);
  }

  function opened(now: Millis, input: SwitchInput & { type: 'linkOpened' }): void {
    const { mark, topology, ...plain } = input;
    heard(now, topology);
    const running = all().find((one) => one.serves(mark));
    if (running === undefined) return hangUp(input.session);
    running.sessions.add(input.session);
    // Where nobody has ever set a topology, nodes may differ in what they run.
    const overlay = mark.epoch === 0 ? input.overlay : running.topology.kind;
    run(running, now, { ...plain, overlay });
  }

  function heard(now: Millis, topology: Topology): void {
    if (topology.epoch === 0 || !isNewer(topology, newest().topology)) return;
    adopt(now, topology);
  }

  function closed(now: Millis, input: OverlayInput & { type: 'linkClosed' }): void {
    closing.delete(input.session);
    const running = ownerOf(input.session);
    if (running === undefined) return;
    running.sessions.delete(input.session);
    run(running, now, input);
  }

  function said(now: Millis, input: OverlayInput & { type: 'received' | 'linkQuiet' }): void {
    const running = ownerOf(input.session);
    if (running === undefined) return;
    const message = input.type === 'received' ? input.message : undefined;
    if (message?.kind === 'pulse') running.pulseAt = now;
    if (message?.kind !== 'holding') return run(running, now, input);
    if (next?.serves(message) === true && facts.members().has(input.node)) {
      next.holding.add(input.node);
    }
  }

  function route(now: Millis, input: SwitchInput): void {
    switch (input.type) {
      case 'linkOpened':
        return opened(now, input);
      case 'dialFailed': {
        const { mark, ...plain } = input;
        const running = all().find((one) => one.serves(mark));
        return running === undefined ? undefined : run(running, now, plain);
      }
      case 'linkClosed':
        return closed(now, input);
      case 'received':
      case 'linkQuiet':
        return said(now, input);
      case 'wanted':
      case 'torn':
        return run(newest(), now, input);
      case 'topologyHeard':
        return heard(now, input.topology);
      case 'topologyWished': {
        if (refusal(now) !== undefined) return;
        return propose(now, input.wish);
      }
      default:
        note(now, input);
        for (const running of all()) run(running, now, input);
    }
  }

  function refusal(now: Millis): TopologyRefusal | undefined {
    if (next !== undefined)
      return { why: 'switching', waitMs: Math.max(1, begunAt + bridgeMs - now) };
    const waitMs = setAt + cooldownMs - now;
    return waitMs > 0 ? { why: 'cooldown', waitMs } : undefined;
  }

  function settle(now: Millis): void {
    for (const running of all()) {
      if (running.overlay.deadline() <= now) run(running, now, { type: 'tick' });
    }
    look(now);
    measure(now);
    for (const [session, at] of closing) {
      if (at <= now) hangUp(session);
    }
  }

  return {
    step(now, input) {
      route(now, input);
      settle(now);
      if (sizeAt === Infinity && current.topology.isAuto) sizeAt = now + sizeMs;
      const done = effects;
      effects = [];
      return done;
    },
    deadline() {
      let soonest = Math.min(
        lookAt,
        current.overlay.deadline(),
        next?.overlay.deadline() ?? Infinity,
      );
      if (current.topology.isAuto && next === undefined) soonest = Math.min(soonest, sizeAt);
      for (const at of closing.values()) soonest = Math.min(soonest, at);
      return soonest;
    },
    topology: () => newest().topology,
    refusal,
    view() {
      const inner = newest().overlay.view();
      return {
        ...inner,
        neighbours: chosen.view(),
        topology: newest().topology,
        leaving: next === undefined ? undefined : current.topology.kind,
        linksPerOverlay: all().map(({ topology, links }) => ({
          kind: topology.kind,
          links: links.size,
        })),
        history,
      };
    },
  };
}
