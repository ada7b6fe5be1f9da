/** The table of floors from docs/architecture.md, as data: who may import whom. */
const layers = {
  kernel: [],
  protocol: ['kernel'],
  ports: ['kernel'],
  wire: ['kernel', 'protocol'],
  adapters: ['kernel', 'ports', 'wire'],
  runtime: ['kernel', 'protocol', 'ports', 'wire'],
  agent: ['kernel', 'ports', 'runtime'],
  program: ['kernel', 'ports'],
};

const error = (name, from, to) => ({ name, severity: 'error', from, to });
const world =
  '^(node:)?(net|dgram|fs|fs/promises|http|https|tls|dns|child_process|os|worker_threads)$';

export default {
  forbidden: [
    error('no-circular', {}, { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } }),
    error('not-to-unresolvable', {}, { couldNotResolve: true }),
    ...Object.entries(layers).map(([layer, below]) =>
      error(
        `layer-${layer}`,
        { path: `^src/${layer}/` },
        { path: '^src/', pathNot: `^src/(${[layer, ...below].join('|')})/` },
      ),
    ),
    error(
      'a-core-has-no-dependencies',
      { path: '^src/(kernel|protocol)/' },
      { dependencyTypes: ['npm', 'npm-dev', 'npm-no-pkg', 'core'] },
    ),
    error(
      'protocols-do-not-know-each-other',
      { path: '^src/protocol/([^/]+)/' },
      { path: '^src/protocol/[^/]+/', pathNot: '^src/protocol/$1/' },
    ),
    error(
      'only-adapters-touch-the-world',
      { path: '^src/(?!adapters/|system-adapters\\.ts)' },
      { dependencyTypes: ['core'], path: world },
    ),
    error(
      'wire-knows-protocol-types-only',
      { path: '^src/wire/' },
      { path: '^src/protocol/', dependencyTypesNot: ['type-only'] },
    ),
    error(
      'schemas-are-zod-mini',
      { path: '^(src|device|gateway)/' },
      { path: 'node_modules/zod/(?!mini/|v4/mini/)' },
    ),
    error('outside-uses-the-front-door', { path: '^(device|gateway)/' }, { path: '^src/' }),
    error(
      'the-library-ships-without-dev-packages',
      { path: '^(src|device|gateway)/', pathNot: 'bundle\\.mjs$' },
      { dependencyTypes: ['npm-dev', 'npm-no-pkg'] },
    ),
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'default'],
    },
  },
};
