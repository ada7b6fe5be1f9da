import { createMemoryBlobFiles } from '../../../src/adapters/memory/blob-files.ts';
import { blobFilesContract } from '../../contract/blob-files.ts';

blobFilesContract('in memory', async () => createMemoryBlobFiles());
