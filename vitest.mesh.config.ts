import { defineConfig } from 'vitest/config';

// CI adds up what the parts of "npm test" report there.
const reports = process.env['MYCEL_TEST_REPORT_DIR'];

// Their bounds are times, or packets a second: each of them has the machine to itself.
const timed = ['joining', 'failures', 'endurance'].map((name) => `test/mesh/${name}.test.ts`);

export default defineConfig({
  resolve: { conditions: ['@mycel/source'] },
  ssr: { resolve: { conditions: ['@mycel/source', 'node', 'import', 'default'] } },
  test: {
    pool: 'forks',
    reporters: reports === undefined ? ['default'] : ['default', 'json'],
    ...(reports === undefined ? {} : { outputFile: { json: `${reports}/mesh.json` } }),
    // CommonJS packages look to tests as they look to Node.
    deps: { interopDefault: false },
    // A bound missed because the machine was busy elsewhere is measured again; the bound itself stays.
    retry: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    env: { CBOR_NATIVE_ACCELERATION_DISABLED: 'true' },
    projects: [
      {
        extends: true,
        test: {
          name: 'side by side',
          include: ['test/mesh/**/*.test.ts'],
          exclude: timed,
          // Real hosts in network namespaces of their own; they wait more than they work.
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: timed,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
