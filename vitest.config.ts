import { defineConfig } from 'vitest/config';

// Tests read the sources, not dist: the export condition '@mycel/source' points at src/index.ts.
export default defineConfig({
  resolve: { conditions: ['@mycel/source'] },
  ssr: { resolve: { conditions: ['@mycel/source', 'node', 'import', 'default'] } },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/mesh/**', 'test/bench/**'],
    pool: 'forks',
    // CommonJS packages look to tests as they look to Node.
    deps: { interopDefault: false },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    env: { CBOR_NATIVE_ACCELERATION_DISABLED: 'true' },
  },
});
