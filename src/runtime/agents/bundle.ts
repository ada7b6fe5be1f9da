/** An agent's module on its way to other nodes: named by its content, signed by the node it was deployed from. */

import * as z from 'zod/mini';
import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { concatBytes } from '../../wire/bytes.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import { nodeIdOf, sha256, signBytes, verifyBytes } from '../../wire/keys.ts';
import type { NodeKeys } from '../../wire/keys.ts';

/** Longest code of one agent, in bytes. */
export const agentCodeBytesMax: number = 4 * 1024 * 1024;

const label = new TextEncoder().encode('mycel agent bundle 1');

/** A bundle that was checked. */
export interface Bundle {
  /** SHA-256 of the code, in hex. */
  readonly hash: string;
  readonly code: string;
  readonly signer: NodeId;
  /** As it travels. */
  readonly bytes: Uint8Array;
}

const bundleSchema = z.object({
  code: z.instanceof(Uint8Array),
  key: z.instanceof(Uint8Array),
  signature: z.instanceof(Uint8Array),
});

/** Signs code. @throws {MycelError} MYCEL_BAD_AGENT when it is empty or too long */
export function packBundle(code: string, keys: NodeKeys): Bundle {
  const bytes = new TextEncoder().encode(code);
  if (bytes.byteLength === 0 || bytes.byteLength > agentCodeBytesMax) {
    throw new MycelError('MYCEL_BAD_AGENT', {
      reason: `A module has 1 to ${agentCodeBytesMax} bytes.`,
    });
  }
  const hash = sha256(bytes);
  const signature = signBytes(keys.edSeed, concatBytes(label, hash));
  const packed = encodeCbor({ code: bytes, key: keys.edPublic, signature });
  return { hash: toHex(hash), code, signer: nodeIdOf(keys.edPublic), bytes: packed };
}

/**
 * Reads a bundle.
 * @param isTrusted whether code of this node may run here: a member of the mesh
 * @throws {MycelError} MYCEL_BAD_BUNDLE when the content or the signature is wrong, or nobody here knows the signer.
 */
export function openBundle(
  bytes: Uint8Array,
  wanted: string,
  isTrusted: (signer: NodeId) => boolean,
): Bundle {
  const bad = (reason: string): MycelError => new MycelError('MYCEL_BAD_BUNDLE', { reason });
  let decoded: unknown;
  try {
    decoded = decodeCbor(bytes, { bytesMax: agentCodeBytesMax + 1_024 });
  } catch (error) {
    throw new MycelError('MYCEL_BAD_BUNDLE', { reason: 'It cannot be read.' }, { cause: error });
  }
  const read = bundleSchema.safeParse(decoded);
  if (!read.success) throw bad('It cannot be read.');
  const { code, key, signature } = read.data;
  const hash = sha256(code);
  if (toHex(hash) !== wanted) throw bad('Its content is not what its name says.');
  if (key.byteLength !== 32 || !verifyBytes(key, concatBytes(label, hash), signature)) {
    throw bad('Its signature is wrong.');
  }
  const signer = nodeIdOf(key);
  if (!isTrusted(signer)) throw bad(`${signer.slice(0, 12)}, who signed it, is no member.`);
  return { hash: wanted, code: new TextDecoder().decode(code), signer, bytes };
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/**
 * Makes a module stand alone: what it imports from `mycel` is taken from the node it runs on.
 * @throws {MycelError} MYCEL_BAD_AGENT when it imports what a device does not have.
 */
export function standAlone(source: string): string {
  const taken = source.replace(
    /^[ \t]*import\s+\{([^}]*)\}\s+from\s+['"]mycel['"];?/gm,
    (_, names: string) =>
      `const {${names.replace(/\bas\b/g, ':').replace(/\btype\s+\w+\s*,?/g, '')}} = { defineAgent: (definition) => definition };`,
  );
  for (const match of taken.matchAll(
    /^[ \t]*(?:import|export)\b[^'"\n;]*?(?:from\s*)?['"]([^'"]+)['"]/gm,
  )) {
    const wanted = match[1] ?? '';
    if (wanted.startsWith('node:') || !/^[ \t]*import|\bfrom\b/.test(match[0])) continue;
    throw new MycelError('MYCEL_BAD_AGENT', {
      reason: `It imports '${wanted}', which devices do not have.`,
      fix: 'Import only "mycel" and node: modules, or bundle it into one file first (esbuild --bundle --external:mycel).',
    });
  }
  return taken;
}
