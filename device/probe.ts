/** The owner's own probe of a node: a command that ends well when all is well. */

import { execFile } from 'node:child_process';

/** How long it may take, in ms. */
const probeMs = 10_000;

/** Longest word of what was wrong, in characters. */
const complaintLengthMax = 160;

/** Makes a probe of a shell command; it resolves with what is wrong, or undefined. */
export function createProbe(command: string): () => Promise<string | undefined> {
  return () =>
    new Promise((resolve) => {
      const options = { timeout: probeMs, killSignal: 'SIGKILL' as const, maxBuffer: 64 * 1024 };
      execFile('/bin/sh', ['-c', command], options, (error, _, complaint) => {
        if (error === null) return resolve(undefined);
        const last = complaint.trim().split('\n').at(-1) ?? '';
        const how =
          error.killed === true ? 'takes too long' : `ends with ${error.code ?? 'a signal'}`;
        const words = last === '' ? '' : `: ${last.slice(0, complaintLengthMax)}`;
        resolve(`its probe ${how}${words}`);
      });
    });
}
