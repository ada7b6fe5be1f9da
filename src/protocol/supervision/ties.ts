/**
 * Links and monitors between agents, on this node and others (Erlang/OTP): a monitor hears once that its subject ended,
 * a link passes a failure on to its other end.
 */

/** Ties of one node; more are refused. */
export const tiesMax = 16_384;

/** How an agent ended. `unknown`: there was none of that name; `unreachable`: its node is held dead. */
export type EndReason = 'normal' | 'failure' | 'stopped' | 'unknown' | 'unreachable';

/** What a tie makes happen. */
export type TieEffect =
  | {
      readonly type: 'tell';
      readonly watcher: string;
      readonly subject: string;
      readonly ref: number;
      readonly reason: EndReason;
    }
  | { readonly type: 'fail'; readonly agent: string; readonly because: string };

/** The ties of one node. Agents are named by instance; the node an instance is on is known to the caller. */
export interface Ties {
  /** Watches; returns the reference that the word will carry, or undefined when there are too many. */
  monitor(watcher: string, subject: string): number | undefined;
  demonitor(ref: number): void;
  /** Ties two together, both ways. @returns false when there are too many. */
  link(one: string, other: string): boolean;
  unlink(one: string, other: string): void;
  /** An agent ended: every monitor of it is told once, and every link passes a failure on. */
  ended(agent: string, reason: EndReason): readonly TieEffect[];
}

/** Builds a node's ties: none. */
export function createTies(): Ties {
  const monitors = new Map<number, { watcher: string; subject: string }>();
  const bySubject = new Map<string, Set<number>>();
  const links = new Map<string, Set<string>>();
  let nextRef = 1;
  let linkCount = 0;

  function forget(ref: number): void {
    const monitor = monitors.get(ref);
    if (monitor === undefined) return;
    monitors.delete(ref);
    const refs = bySubject.get(monitor.subject);
    refs?.delete(ref);
    if (refs?.size === 0) bySubject.delete(monitor.subject);
  }

  function cut(one: string, other: string): void {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      const peers = links.get(from);
      if (peers?.delete(to) === true && from === one) linkCount -= 1;
      if (peers?.size === 0) links.delete(from);
    }
  }

  return {
    monitor(watcher, subject) {
      if (monitors.size + linkCount >= tiesMax) return undefined;
      const ref = nextRef;
      nextRef += 1;
      monitors.set(ref, { watcher, subject });
      const refs = bySubject.get(subject) ?? new Set();
      bySubject.set(subject, refs.add(ref));
      return ref;
    },
    demonitor: forget,
    link(one, other) {
      if (one === other || links.get(one)?.has(other) === true) return true;
      if (monitors.size + linkCount >= tiesMax) return false;
      for (const [from, to] of [
        [one, other],
        [other, one],
      ] as const) {
        links.set(from, (links.get(from) ?? new Set()).add(to));
      }
      linkCount += 1;
      return true;
    },
    unlink: cut,
    ended(agent, reason) {
      const effects: TieEffect[] = [];
      for (const ref of bySubject.get(agent) ?? []) {
        const watcher = monitors.get(ref)?.watcher ?? '';
        effects.push({ type: 'tell', watcher, subject: agent, ref, reason });
        forget(ref);
      }
      for (const other of links.get(agent) ?? []) {
        cut(agent, other);
        const isFailure = reason !== 'normal' && reason !== 'stopped';
        if (isFailure) effects.push({ type: 'fail', agent: other, because: agent });
      }
      // What it watched itself concerns nobody any more.
      for (const [ref, { watcher }] of monitors) if (watcher === agent) forget(ref);
      return effects;
    },
  };
}
