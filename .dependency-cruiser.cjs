// The layers of ARCHITECTURE.md: imports go down only, and no edge knows another.
const edges = ['config', 'watch', 'disk', 'store', 'ssh', 'rpc']

/** A rule: files under `from` may import, of our own files, only those that match `allowed`. */
function only(name, from, allowed, comment) {
  return {
    name,
    comment,
    severity: 'error',
    from: { path: from },
    to: { path: '^lib/', pathNot: allowed },
  }
}

module.exports = {
  forbidden: [
    only('model-imports-model', '^lib/(model/|errors[.]ts$)', '^lib/model/', 'layer 0: nouns import nouns'),
    only('core-imports-model', '^lib/core/', '^lib/(core|model)/', 'layer 1: verbs import nouns and verbs'),
    only(
      'daemon-imports-errors',
      '^lib/daemon/',
      '^lib/(daemon/|errors[.]ts$)',
      'layer 1: machinery knows no glossary',
    ),
    ...edges.map((edge) =>
      only(
        `edge-${edge}`,
        `^lib/${edge}/`,
        `^lib/(${edge}/|core/|model/|daemon/|errors[.]ts$)`,
        'layer 2a: an edge touches one outside thing and never imports a sibling',
      ),
    ),
    only(
      'replica-imports-down',
      '^lib/replica/',
      `^lib/(replica|core|model|daemon|${edges.join('|')})/|^lib/errors[.]ts$`,
      'layer 2b: the engine knows no role',
    ),
    only(
      'client-imports-down',
      '^lib/client/',
      `^lib/(client|replica|core|model|daemon|${edges.join('|')})/|^lib/errors[.]ts$`,
      'layer 3: roles never import each other, nor a command',
    ),
    only(
      'server-imports-down',
      '^lib/server/',
      `^lib/(server|replica|core|model|daemon|${edges.join('|')})/|^lib/errors[.]ts$`,
      'layer 3: roles never import each other, nor a command',
    ),
    only(
      'commands-not-main',
      '^lib/commands/',
      '^lib/(?!main[.]ts$)',
      'layer 4: main imports commands, not the reverse',
    ),
    {
      name: 'pure-core',
      comment: 'core and model import no node:* and no package',
      severity: 'error',
      from: { path: '^lib/(core|model)/' },
      to: { dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-cycle',
      comment: 'a cycle of values is two modules that are one; types may refer to each other',
      severity: 'error',
      from: { path: '^lib/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-unresolved',
      comment: 'every import must resolve',
      severity: 'error',
      from: { path: '^lib/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-dev-in-lib',
      comment: 'what ships must be installed with it',
      severity: 'error',
      from: { path: '^lib/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
}
