/** What a guest may publish, subscribe and leave as a will. */

import { filterProblem, topicMatches, topicProblem } from '../../kernel/topic.ts';

/** A guest's credentials and rules. The hash is a secret's shadow: keep it as private as the identity. */
export interface GuestCredential {
  /** Letters, digits, '-' and '_', at most 32. */
  readonly name: string;
  readonly salt: Uint8Array;
  /** From `hashGuestPassword`. */
  readonly hash: Uint8Array;
  /** Filters of topics it may publish to. @default `guest/<name>/#` */
  readonly publish?: readonly string[];
  /** Filters it may subscribe to, or to parts of. @default `guest/<name>/#` */
  readonly subscribe?: readonly string[];
  /** Whether it may keep a session while away (bounded like a local one). @default false */
  readonly mayPersist?: boolean;
}

/** Whether the name can be a level of a topic and a part of a client id. */
export function isGuestName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/.test(name);
}

/** Why this guest may not publish to the topic (or leave its will there), or undefined. */
export function guestPublishProblem(guest: GuestCredential, topic: string): string | undefined {
  const problem = topicProblem(topic);
  if (problem !== undefined) return problem;
  if (topic.startsWith('$')) return 'a guest has no business below $';
  const rules = guest.publish ?? ownZone(guest);
  return rules.some((rule) => topicMatches(rule, topic)) ? undefined : 'outside the guest rules';
}

/** Why this guest may not subscribe to the filter, or undefined. */
export function guestSubscribeProblem(guest: GuestCredential, filter: string): string | undefined {
  const problem = filterProblem(filter);
  if (problem !== undefined) return problem;
  if (filter.startsWith('$')) return 'a guest has no business below $';
  const rules = guest.subscribe ?? ownZone(guest);
  return rules.some((rule) => filterCovers(rule, filter)) ? undefined : 'outside the guest rules';
}

/** Whether every topic that `filter` matches is one that `rule` matches. */
export function filterCovers(rule: string, filter: string): boolean {
  const ruleLevels = rule.split('/');
  const filterLevels = filter.split('/');
  for (const [at, level] of ruleLevels.entries()) {
    if (level === '#') return true;
    const wanted = filterLevels[at];
    if (wanted === undefined || wanted === '#') return false;
    if (level !== '+' && level !== wanted) return false;
  }
  return ruleLevels.length === filterLevels.length;
}

function ownZone(guest: GuestCredential): readonly string[] {
  return [`guest/${guest.name}/#`];
}
