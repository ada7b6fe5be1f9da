/** Lets plain Node run the TypeScript of this folder: `node --import ./test/typescript.mjs test/bench/bench.ts`. */

import { register } from 'node:module';

register('./typescript-hooks.mjs', import.meta.url);
