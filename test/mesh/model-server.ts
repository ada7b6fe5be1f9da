/** A stand-in for a model server on the LAN. Arguments: its model, its port. Prints `ready`. */

import { startProvider } from '../gateway/provider.ts';

const [model = '', port = ''] = process.argv.slice(2);
await startProvider([model], Number(port), '0.0.0.0');
console.log('ready');
