/** Where the command begins: V8 hears what a node needs of it before the rest of the program is loaded. */

import { beginSmall } from './engine.ts';

const [, , ...given] = process.argv;
if (given.find((argument) => !argument.startsWith('-')) === 'up') await beginSmall();
await import('./main.ts');
