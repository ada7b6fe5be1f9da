import { defineConfig } from 'vitest/config';

// Real hosts in network namespaces share one machine: one file at a time, so that times mean something.
// CI adds up what the parts of "npm test" report there.
const reports = process.env['MYCEL_TEST_REPORT_DIR'];

export default defineConfig({
  resolve: { conditions: ['@mycel/source'] },
  ssr: { resolve: { conditions: ['@mycel/source', 'node', 'import', 'default'] } },
  test: {
    include: ['test/mesh/**/*.test.ts'],
    pool: 'forks',
    reporters: reports === undefined ? ['default'] : ['default', 'json'],
    ...(reports === undefined ? {} : { outputFile: { json: `${reports}/mesh.json` } }),
    // CommonJS packages look to tests as they look to Node.
    deps: { interopDefault: false },
    fileParallelism: false,
    // A bound missed because the machine was busy elsewhere is measured again; the bound itself stays.
    retry: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    env: { CBOR_NATIVE_ACCELERATION_DISABLED: 'true' },
  },
});
