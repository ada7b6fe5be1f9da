/** Throwing a device out: what an admin writes, and in which order, so that no honest member goes with it. */

import type { NodeId } from '../kernel/ids.ts';
import type { Subject } from '../protocol/trust/messages.ts';
import { keyTextOf } from '../wire/authority-entry.ts';
import { readCertificate } from '../wire/certificate.ts';
import type { CertificateBook } from './certificate-book.ts';
import type { Links } from './link-wires.ts';
import type { Trust } from './trust.ts';

/**
 * Writes the revocation and begins a new epoch, whose key the device does not get.
 * @throws {MycelError} what `Trust.author` throws; the new epoch begins all the same where it can.
 */
export async function revokeDevice(
  trust: Trust,
  certificates: CertificateBook,
  device: Subject,
): Promise<void> {
  await vouchForSubjectsOf(trust, certificates, device);
  const head = trust.view().heads.find(({ author }) => author === device.key);
  const chainLength = head?.seq ?? 0;
  const written = trust.author({ kind: 'revoke', ...device, chainLength });
  // A disk that refuses the entry takes neither it nor the new key out of memory, nor from the others.
  const outcomes = await Promise.allSettled([written, trust.rotate()]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** The key of a linked device. */
export function edPublicOf(node: NodeId, links: Links): Uint8Array | undefined {
  const link = links.all().find((one) => one.session.peer === node);
  return link === undefined ? undefined : readCertificate(link.session.certificate)?.edPublic;
}

/** What a thrown-out admin issued counts no more: members that hold nothing else are named before it goes. */
async function vouchForSubjectsOf(
  trust: Trust,
  certificates: CertificateBook,
  admin: Subject,
): Promise<void> {
  const { approved, revoked } = trust.view();
  for (const held of [trust.certificate(), ...certificates.issuedBy(admin.key)]) {
    const key = keyTextOf(held.edPublic);
    const isItsSubject = keyTextOf(held.issuer) === admin.key && key !== admin.key;
    if (!isItsSubject || approved.has(key) || revoked.has(key)) continue;
    await trust.author({ kind: 'approve', node: held.node, key });
  }
}
