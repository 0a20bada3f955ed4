// Lint rules: strict types everywhere, and a fence that keeps lib/core and lib/model pure.
import js from '@eslint/js'
import tseslint from 'typescript-eslint'

const impureGlobals = [
  ...['Date', 'process', 'Buffer', 'console', 'crypto', 'performance', 'fetch', 'global', 'globalThis', 'WebSocket'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate', 'queueMicrotask'],
]

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.tap/', 'coverage/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
      ],
      // Messages are full of numbers; they print as one expects.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // A method of a port may be asynchronous by its type and have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      // `() => something()` for its effect is the shortest way to say so.
      '@typescript-eslint/no-confusing-void-expression': 'off',
      // tsc reports both, with the `_` convention.
      'no-unused-vars': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // Type parameters used once document the schema of an edge.
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      // The checker does not see what an await, a callback or an abort changes meanwhile.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // Names are taken apart by code point on purpose.
      '@typescript-eslint/no-misused-spread': 'off',
      // `void it` says that something is only kept, or left alone, on purpose.
      '@typescript-eslint/no-meaningless-void-operator': 'off',
      // NUL and control bytes are part of what we parse.
      'no-control-regex': 'off',
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '^\\.{1,2}/.*(?<!\\.ts)$', message: 'Relative imports end in .ts' }] },
      ],
      'no-restricted-syntax': [
        'error',
        { selector: 'TSEnumDeclaration', message: 'Use a union of literals' },
        { selector: 'ExportDefaultDeclaration', message: 'Use a named export' },
        { selector: 'ExportAllDeclaration', message: 'No barrels: import from the file that exports' },
      ],
    },
  },
  {
    // Purity is checked, not promised: time, ids, randomness and bytes are arguments here.
    files: ['lib/core/**/*.ts', 'lib/model/**/*.ts'],
    rules: {
      'no-restricted-globals': ['error', ...impureGlobals],
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'Randomness is an argument' },
      ],
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { regex: '^[^.]', message: 'core and model import no package and no node:*' },
            { regex: '^\\.\\./(?!core/|model/)', message: 'core and model import nothing but core and model' },
            { regex: '(?<!\\.ts)$', message: 'Relative imports end in .ts' },
          ],
        },
      ],
    },
  },
  {
    // All waiting goes through the clock port, so that tests own time.
    files: ['lib/**/*.ts'],
    ignores: ['lib/core/**', 'lib/model/**', 'lib/daemon/clock.ts'],
    rules: { 'no-restricted-globals': ['error', { name: 'setInterval', message: 'Use daemon/clock' }] },
  },
  {
    // Types of ssh2 promise a boolean where an Error may come back: `=== true` is the check.
    files: ['lib/ssh/**/*.ts'],
    rules: { '@typescript-eslint/no-unnecessary-boolean-literal-compare': 'off' },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      // tap collects the promises of its subtests itself.
      '@typescript-eslint/no-floating-promises': 'off',
      // A test of a hostile value has to write one down.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-empty-function': 'off',
      // Every subtest is written `async (t) =>`; fakes stand in for classes.
      '@typescript-eslint/no-unused-vars': ['error', { args: 'none', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
    },
  },
  {
    files: ['**/*.{js,mjs,cjs}', 'bin/monitor'],
    languageOptions: {
      globals: Object.fromEntries(
        [
          ...['process', 'console', 'URL', 'setTimeout', 'clearTimeout'],
          ...['module', 'require', 'Buffer', 'performance'],
        ].map((name) => [name, 'readonly']),
      ),
    },
  },
)
