import { describe, expect, test } from 'vitest';
import { runBlobCall } from '../../device/blob-operations.ts';
import { startNode } from '../runtime/loopback.ts';

describe('blobs over the control socket', () => {
  test('come in pieces, one at a time, and are read in chunks', async () => {
    const node = await startNode('solo');
    const call = (op: string, args: object): Promise<unknown> =>
      runBlobCall(node, { op, args } as Parameters<typeof runBlobCall>[1]);
    const { upload } = (await call('blob-begin', {})) as { upload: string };
    const pieces = ['first ', 'second ', 'third'];
    for (const piece of pieces) {
      await call('blob-push', { upload, dataBase64: Buffer.from(piece).toString('base64') });
    }
    const whole = pieces.join('');
    const info = (await call('blob-end', { upload })) as { hash: string; bytes: number };
    expect(info.bytes).toBe(whole.length);
    expect(await call('blob-ls', {})).toEqual([info]);
    expect(await call('blob-fetch', { hash: info.hash })).toEqual({
      bytes: whole.length,
      of: whole.length,
      isWhole: true,
    });
    const { dataBase64 } = (await call('blob-read', { hash: info.hash, index: 0 })) as {
      dataBase64: string;
    };
    expect(Buffer.from(dataBase64, 'base64').toString()).toBe(whole);
    await expect(call('blob-read', { hash: info.hash, index: 1 })).rejects.toMatchObject({
      code: 'MYCEL_BAD_OPTION',
    });
    await expect(call('blob-push', { upload, dataBase64: '' })).rejects.toMatchObject({
      code: 'MYCEL_BAD_OPTION',
    });
  });

  test('are refused beyond four at once', async () => {
    const node = await startNode('solo');
    const begin = (): Promise<unknown> => runBlobCall(node, { op: 'blob-begin', args: {} });
    for (let count = 0; count < 4; count += 1) await begin();
    await expect(begin()).rejects.toMatchObject({ code: 'MYCEL_BAD_OPTION' });
  });
});
