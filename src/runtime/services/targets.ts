/** Which action a call means, and what is said when there is none of that name. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import { MycelError } from '../../kernel/errors.ts';
import { nearest } from './offer.ts';
import type { OfferOf } from './offer.ts';

/** Names of actions that are kept taken apart; more are taken apart anew. */
export const targetsMax = 256;

/** Which action is meant. */
export interface Target {
  readonly namespace: string;
  readonly service: string;
  readonly action: string;
}

/** Reads names, and keeps what it has read: programs call few actions many times. */
export function createTargetReader(): (name: string, namespace: string | undefined) => Target {
  const targets = new BoundedMap<string, Target>(targetsMax);
  return (name, namespace) => {
    if (namespace !== undefined) return parseTarget(name, namespace);
    let target = targets.get(name);
    if (target === undefined) {
      target = parseTarget(name);
      targets.set(name, target);
    }
    return target;
  };
}

/** Reads `service.action`. @throws {MycelError} MYCEL_BAD_OPTION */
export function parseTarget(name: string, namespace: string = 'default'): Target {
  const dot = name.lastIndexOf('.');
  if (dot <= 0 || dot === name.length - 1) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `'${name.slice(0, 64)}' names no action.`,
      fix: 'Write SERVICE.ACTION, as in "camera.read".',
    });
  }
  return { namespace, service: name.slice(0, dot), action: name.slice(dot + 1) };
}

/** The failure of a call to a service that nobody offers, with the nearest one. */
export function unknownService(
  service: string,
  namespace: string,
  all: readonly OfferOf[],
): MycelError {
  const known = new Set(
    all.filter(({ offer }) => offer.ns === namespace).map(({ offer }) => offer.n),
  );
  const near = nearest(service, known);
  const others = [...known].slice(0, 8).join(', ');
  return new MycelError('MYCEL_UNKNOWN_SERVICE', {
    reason: `Nobody offers '${service}'${near === undefined ? '' : `; did you mean '${near}'?`}`,
    ...(near === undefined ? {} : { nearest: near }),
    fix: others === '' ? 'No service is offered now: "mycel services".' : `There are: ${others}.`,
  });
}
