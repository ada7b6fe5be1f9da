/** The certificates of the members that were linked in this life: what an admin can still vouch for when their issuer goes. */

import { BoundedMap } from '../kernel/bounded-map.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { KeyText } from '../protocol/trust/messages.ts';
import { keyTextOf } from '../wire/authority-entry.ts';
import { readCertificate } from '../wire/certificate.ts';
import type { Certificate } from '../wire/certificate.ts';

/** Members whose certificate is remembered; the longest unseen is forgotten. */
const certificatesMax = 1024;

/** The book. */
export interface CertificateBook {
  /** A member showed this certificate and was let in with it. */
  remember(bytes: Uint8Array): void;
  /** Full members by the word of this issuer; those on probation are left to a person. */
  issuedBy(issuer: KeyText): readonly Certificate[];
}

/** Builds an empty book. */
export function createCertificateBook(): CertificateBook {
  const seen = new BoundedMap<NodeId, Certificate>(certificatesMax);
  return {
    remember(bytes) {
      const certificate = readCertificate(bytes);
      if (certificate !== undefined) seen.set(certificate.node, certificate);
    },
    issuedBy: (issuer) =>
      [...seen.values()].filter(
        (one) => keyTextOf(one.issuer) === issuer && !one.roles.includes('probation'),
      ),
  };
}
