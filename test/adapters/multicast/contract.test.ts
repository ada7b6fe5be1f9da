/** The hello rung keeps the contract on real sockets, each station in its own network namespace. */

import { createLabWorld } from '../bonjour-lab/lab-world.ts';
import { rungContract } from '../../contract/rung.ts';

rungContract(
  'multicast',
  (speed) => Promise.resolve(createLabWorld({ kind: 'multicast', speed })),
  true,
);
