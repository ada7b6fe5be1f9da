/** The mDNS rung keeps the contract on real sockets, each station in its own network namespace. */

import { createLabWorld } from '../bonjour-lab/lab-world.ts';
import { rungContract } from '../../contract/rung.ts';

rungContract('mdns', (speed) => Promise.resolve(createLabWorld({ kind: 'mdns', speed })), true);
