import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Tests read the sources, not dist: the export condition '@mycel/source' points at src/index.ts.
// CI adds up what the parts of "npm test" report there.
const reports = process.env['MYCEL_TEST_REPORT_DIR'];

// What they look at is time itself: each of them has the machine to itself.
const timed = [
  'adapters/aedes/guests',
  'adapters/aedes/overload',
  'adapters/dgram/responder',
  'adapters/multicast/rung',
  'adapters/system/clock',
  'adapters/system/pauses',
  'device/live-node',
  'sim/world',
].map((name) => `test/${name}.test.ts`);

// Half of them wait for sockets and processes: with one worker a core, a core is idle.
const maxWorkers = Math.max(2, Math.ceil(availableParallelism() * 1.5));

// They touch nothing of the computer and share no state: loading the same modules anew for each file took longer than
// most of them.
const pure = ['kernel', 'protocol', 'wire'].map((name) => `test/${name}/**/*.test.ts`);

// They need what only a root file system made for them holds (test/firmware/debian-root.sh); CI names one.
const otherRoot =
  process.env['MYCEL_BOARD_ROOT'] === undefined ? ['test/firmware/other-init.test.ts'] : [];

export default defineConfig({
  resolve: { conditions: ['@mycel/source'] },
  ssr: { resolve: { conditions: ['@mycel/source', 'node', 'import', 'default'] } },
  test: {
    pool: 'forks',
    reporters: reports === undefined ? ['default'] : ['default', 'json'],
    ...(reports === undefined ? {} : { outputFile: { json: `${reports}/unit.json` } }),
    // CommonJS packages look to tests as they look to Node.
    deps: { interopDefault: false },
    // On a loaded CI machine a real socket or process may be late once; people see it fail at once.
    retry: process.env['CI'] === undefined ? 0 : 1,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    env: { CBOR_NATIVE_ACCELERATION_DISABLED: 'true' },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/mesh/**', 'test/bench/**', ...timed, ...pure, ...otherRoot],
          maxWorkers,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'pure',
          include: pure,
          exclude: timed,
          isolate: false,
          maxWorkers,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'timed',
          include: timed,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
