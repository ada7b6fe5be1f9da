import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createBlobFiles } from '../../../src/adapters/disk/blob-files.ts';
import { blobFilesContract } from '../../contract/blob-files.ts';

blobFilesContract('on disk', async () => {
  const home = await mkdtemp(join(tmpdir(), 'mycel-blobs-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  return createBlobFiles(join(home, 'blobs'));
});
