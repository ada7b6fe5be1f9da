/** Prints the interfaces of the namespace it runs in. */

import { listInterfaces } from '../../../src/adapters/system/interfaces.ts';

const given = process.argv[2];
const names = given === undefined ? undefined : (JSON.parse(given) as string[]);
process.stdout.write(JSON.stringify(listInterfaces(names)));
