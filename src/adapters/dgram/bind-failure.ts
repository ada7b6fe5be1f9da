/** What to tell a person whose UDP port cannot be opened. */

import { MycelError } from '../../kernel/errors.ts';
import { formatAddress, type Address } from '../../kernel/address.ts';

/** The error for a failed bind, by the system's code (`EADDRINUSE`, `EADDRNOTAVAIL`, …). */
export function bindFailure(asked: Address, code: string, cause?: unknown): MycelError {
  const { host, port } = asked;
  if (code === 'EADDRINUSE') {
    const details = { port, reason: `It is UDP ${formatAddress({ host, port })}.` };
    return new MycelError('MYCEL_PORT_TAKEN', details, { cause });
  }
  const reason = `UDP cannot use ${formatAddress({ host, port })} (${code}).`;
  return new MycelError('MYCEL_BAD_OPTION', { reason }, { cause });
}
