/** Hands approved newcomers their full certificate: the first admin that is linked with one does. */

import type { NodeId } from '../kernel/ids.ts';
import { keyTextOf } from '../wire/authority-entry.ts';
import { readCertificate } from '../wire/certificate.ts';
import { encodeTrustMessage } from '../wire/trust-message.ts';
import type { LinkInfo } from './link-wires.ts';
import type { Peering } from './peering.ts';
import type { Trust } from './trust.ts';

/** What an approval needs to see. */
export interface ApprovalWorld {
  trust(): Trust;
  peering(): Peering;
  isOnProbation(link: LinkInfo): boolean;
}

/** Builds the function to call when a node was approved, and when one is linked. It does nothing for anybody else. */
export function createApproval(world: ApprovalWorld): (node: NodeId) => void {
  return (node) => {
    const trust = world.trust();
    const { links, feed } = world.peering();
    const link = links.current(node);
    if (!trust.isAdmin()) return;
    // In a partial mesh the newcomer may be linked with others only.
    if (link === undefined) return feed({ type: 'wanted', node });
    if (!world.isOnProbation(link)) return;
    const held = readCertificate(link.session.certificate);
    if (held === undefined || !trust.view().approved.has(keyTextOf(held.edPublic))) return;
    const certificate = trust.certify(held, ['node'], held.certSeq + 1);
    const bytes = encodeTrustMessage({ kind: 'certificate', certificate });
    links.control(node, { kind: 'trust', bytes });
  };
}
