/** Builds a lab and waits to be killed. */

import { createLab } from './lab.ts';

const lab = await createLab({ hosts: 2 });
lab.host(0).start(['sleep', '1000']);
process.stdout.write('built\n');
setInterval(() => undefined, 1000);
