/** Enters the test mesh on the broker of its argument and says so. */

import { createStation, enter } from './backbone-fixture.ts';
import { generateNodeKeys, nodeIdOf } from '../../../src/wire/keys.ts';

const station = createStation(process.argv[2] ?? '');
enter(station, nodeIdOf(generateNodeKeys().edPublic));
await station.up();
console.log('up');
await station.backbone.stop();
