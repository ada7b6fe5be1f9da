import { expect, test } from 'vitest';
import { createLinkInlet } from '../../../src/adapters/link/link-inlet.ts';
import type { OpenLink } from '../../../src/adapters/link/link-session.ts';

function recordingLink(): { readonly link: OpenLink; readonly came: string[] } {
  const came: string[] = [];
  const link = {
    received: (lane: string, frame: Uint8Array) => void came.push(`${lane} ${frame[0]}`),
  } as OpenLink;
  return { link, came };
}

test('frames that come before the session is in use are its first ones', () => {
  const { link, came } = recordingLink();
  const inlet = createLinkInlet(() => expect.unreachable());
  inlet.took('control', Uint8Array.of(1));
  inlet.took('data', Uint8Array.of(2));
  inlet.open(link);
  inlet.took('data', Uint8Array.of(3));
  expect(came).toEqual(['control 1', 'data 2', 'data 3']);
});

test('more than may wait for the session are told, and lost', () => {
  let overflows = 0;
  const { link, came } = recordingLink();
  const inlet = createLinkInlet(() => (overflows += 1));
  for (let at = 0; at < 257; at += 1) inlet.took('data', Uint8Array.of(7));
  expect(overflows).toBe(1);
  inlet.open(link);
  expect(came).toHaveLength(256);
});
