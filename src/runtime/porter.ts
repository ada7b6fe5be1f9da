/** Who may stay after the handshake: not a device that was thrown out since, and not one identity on two devices. */

import { BoundedMap } from '../kernel/bounded-map.ts';
import type { Millis } from '../kernel/core.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { LinkSession } from '../ports/link.ts';
import type { KeyText } from '../protocol/trust/messages.ts';
import { readCertificate } from '../wire/certificate.ts';
import { createCertificateBook } from './certificate-book.ts';
import type { CertificateBook } from './certificate-book.ts';
import type { Hello, LinkInfo, Links } from './link-wires.ts';
import { createTwinWatch, twinsQuietMs, twinsWatchedMax } from './twins.ts';

/** Why a link is closed to both devices that run one identity; the peer tells its people. */
export const twinsReason = 'twins';

/** What a device is told whose identity another one has, too. */
export const twinText = 'Another device runs with the identity of this one (a copied card?).';

/** What the porter works with. */
export interface PorterWorld {
  readonly clock: Clock;
  links(): Links;
  /** Trust messages that show a revoked device why it is out. */
  proofAgainst(key: KeyText): readonly Uint8Array[];
  alert(code: string, text: string): void;
}

/** The porter of one life. */
export interface Porter {
  /** Full members that came by in this life. */
  readonly certificates: CertificateBook;
  /** A peer said hello. False: it was shown out. */
  greeted(link: LinkInfo, hello: Hello): boolean;
  /** Two devices speak for this identity: whichever is linked, now or in a while, is told, and stays. */
  twinsHeard(node: NodeId): void;
  /** Shows a revoked device out, now and whenever it comes again. False when that is no news. */
  throwOut(node: NodeId, key: KeyText): boolean;
  isOut(node: NodeId): boolean;
  /** Everybody who was thrown out. */
  out(): readonly NodeId[];
  /** A newcomer that waits for approval. */
  isOnProbation(link: LinkInfo | undefined): boolean;
}

/** Builds a porter. */
export function createPorter(world: PorterWorld): Porter {
  /** Revoked devices and their keys. Grows with the revocations of the authority log, which is bounded. */
  const thrownOut = new Map<NodeId, KeyText>();
  const onProbation = new WeakMap<LinkSession, boolean>();
  const certificates = createCertificateBook();
  const twins = createTwinWatch();
  /** Identities that two devices speak for, and until when a device that comes with one is told. */
  const doubted = new BoundedMap<NodeId, Millis>(twinsWatchedMax);

  function farewell(link: LinkInfo, reason: string): void {
    const links = world.links();
    links.controlOn(link.id, { kind: 'bye', reason });
    links.hangUp(link.id, reason);
  }

  /** The one of two that noticed first is out by itself before the other could notice anything. */
  function tellTwins(link: LinkInfo): void {
    world.links().controlOn(link.id, { kind: 'bye', reason: twinsReason });
  }

  /** It believes signatures, not us: the log that says so goes with it. */
  function showOut(link: LinkInfo, key: KeyText): void {
    for (const bytes of world.proofAgainst(key)) {
      world.links().controlOn(link.id, { kind: 'trust', bytes });
    }
    farewell(link, 'revoked');
  }

  function linksOf(node: NodeId): readonly LinkInfo[] {
    return world
      .links()
      .all()
      .filter((link) => link.session.peer === node);
  }

  return {
    certificates,
    greeted(link, hello) {
      const node = link.session.peer;
      const key = thrownOut.get(node);
      if (key !== undefined) {
        showOut(link, key);
        return false;
      }
      if (twins.greeted(world.clock.now(), node, hello.instance)) {
        world.alert(
          'clone',
          `Two devices run with the identity of ${hello.name} (${node}), perhaps a copied card. Both are kept out until one is off.`,
        );
        for (const each of linksOf(node)) farewell(each, twinsReason);
        return false;
      }
      certificates.remember(link.session.certificate);
      if (world.clock.now() < (doubted.get(node) ?? -Infinity)) tellTwins(link);
      return true;
    },
    twinsHeard(node) {
      doubted.set(node, world.clock.now() + twinsQuietMs);
      for (const link of linksOf(node)) tellTwins(link);
    },
    throwOut(node, key) {
      if (thrownOut.has(node)) return false;
      thrownOut.set(node, key);
      for (const link of linksOf(node)) showOut(link, key);
      return true;
    },
    isOut: (node) => thrownOut.has(node),
    out: () => [...thrownOut.keys()],
    isOnProbation(link) {
      if (link === undefined) return false;
      // Asked for every message: the certificate is read (and its signature checked) once a session.
      const { session } = link;
      let answer = onProbation.get(session);
      if (answer === undefined) {
        answer = readCertificate(session.certificate)?.roles.includes('probation') !== false;
        onProbation.set(session, answer);
      }
      return answer;
    },
  };
}
