import { createMemoryVersions } from '../../../src/adapters/memory/versions.ts';
import { versionsContract } from '../../contract/versions.ts';

versionsContract('in memory', async () => createMemoryVersions());
