/** Who is let in over a link: what a peer's certificate is worth by what the authority log says now. */

import type { MeshId, NodeId } from '../kernel/ids.ts';
import type { AuthorityView } from '../protocol/trust/authority-log.ts';
import { keyTextOf } from '../wire/authority-entry.ts';
import { isSameBytes } from '../wire/bytes.ts';
import type { Certificate } from '../wire/certificate.ts';

/** What became of a peer that proved to hold a key. */
export type Verdict =
  | { readonly node: NodeId; readonly edPublic: Uint8Array }
  | {
      readonly refusal: string;
      /** Trust messages that show a peer why it is out, for it to check; none for strangers. */
      readonly proof?: readonly Uint8Array[];
    };

/** What a peer is judged by. */
export interface Judge {
  readonly meshId: MeshId;
  readonly view: AuthorityView;
  /** An open mesh, in which everybody vouches for himself. */
  readonly isDev: boolean;
}

/** Whether the peer is a member that was thrown out: it holds its key, and it may be shown why. */
export function isRevokedMember(
  peer: Certificate,
  xPublic: Uint8Array,
  { meshId, view }: Judge,
): boolean {
  const isItself = peer.meshId === meshId && isSameBytes(peer.xPublic, xPublic);
  return isItself && view.revoked.has(keyTextOf(peer.edPublic));
}

/** Why a peer is not let in; undefined when it is. */
export function refusalOf(
  peer: Certificate | undefined,
  xPublic: Uint8Array,
  judge: Judge,
): string | undefined {
  const { meshId, view, isDev } = judge;
  if (peer === undefined) return 'its certificate cannot be read';
  if (peer.meshId !== meshId) return 'it belongs to another mesh';
  if (!isSameBytes(peer.xPublic, xPublic)) return 'it does not hold the key of its certificate';
  if (view.revoked.has(keyTextOf(peer.edPublic))) return 'it was revoked';
  if (isDev) {
    return isSameBytes(peer.issuer, peer.edPublic)
      ? undefined
      : 'an open mesh takes no certificates';
  }
  if ((view.epoch?.number ?? 0) > peer.epochMax) return 'its certificate has run out';
  return issuerRefusal(peer, view);
}

/**
 * A thief can date back what a stolen admin key signs, so its certificates are worth nothing but for devices that a
 * standing admin approved by name (`Life.revoke` does that for the members it knows).
 */
function issuerRefusal(peer: Certificate, view: AuthorityView): string | undefined {
  const issuer = keyTextOf(peer.issuer);
  if (view.admins.includes(issuer) || view.retired.includes(issuer)) return undefined;
  const wasAdmin = view.revoked.has(issuer) || view.frozen.includes(issuer);
  if (!wasAdmin) return 'its certificate was not issued by an admin of this mesh';
  return view.approved.has(keyTextOf(peer.edPublic))
    ? undefined
    : 'its certificate was issued by an admin who was thrown out';
}
