import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import ignore from 'ignore'
import t from 'tap'
import { DEFAULT_RULES, compileIgnore, readRules } from '../../lib/disk/ignore.ts'
import { hostPath } from '../../lib/model/path.ts'
import type { RelPath } from '../../lib/model/path.ts'

const asked = (rules: readonly string[], path: string, isDir = false): boolean =>
  compileIgnore(rules)(path as RelPath, isDir)

t.test('the defaults leave out what editors and desktops leave behind, and nothing else', async (t) => {
  const out = [
    '.a.swp',
    'd/.a.swx',
    'a~',
    'd/4913',
    '.#lock',
    '.nfs0001',
    'x/.DS_Store',
    'Thumbs.db',
    'd/e/.systemsync/x',
  ]
  for (const path of out) t.equal(asked(DEFAULT_RULES, path), true, path)
  for (const path of ['a', 'a.swp', '49133', 'thumbs.db', '.systemsync', 'a~b', '.gitignore', '#x', 'DS_Store']) {
    t.equal(asked(DEFAULT_RULES, path), false, path)
  }
  t.equal(asked(DEFAULT_RULES, 'd/.systemsync', true), true)
})

t.test('what stands below an ignored directory is ignored, and cannot be taken back', async (t) => {
  const rules = ['build/', '!build/keep', '/top', 'a/b', '*.log', '!important.log']
  t.equal(asked(rules, 'x/build', true), true)
  t.equal(asked(rules, 'x/build', false), false)
  t.equal(asked(rules, 'x/build/deep/er/file'), true)
  t.equal(asked(rules, 'build/keep'), true)
  t.equal(asked(rules, 'top'), true)
  t.equal(asked(rules, 'x/top'), false)
  t.equal(asked(rules, 'a/b/c'), true)
  t.equal(asked(rules, 'x/a/b'), false)
  t.equal(asked(rules, 'x.log'), true)
  t.equal(asked(rules, 'd/important.log'), false)
})

t.test('case matters', async (t) => {
  t.equal(asked(['*.TMP', 'Build/'], 'a.tmp'), false)
  t.equal(asked(['*.TMP', 'Build/'], 'build/x'), false)
  t.equal(asked(['*.TMP', 'Build/'], 'a.TMP'), true)
})

t.test('comments, empty lines and no rules at all leave nothing out', async (t) => {
  for (const rules of [[], ['', '  ', '# a', '#a']]) t.equal(asked(rules, 'a'), false)
  t.equal(asked(['a\r\nb'], 'b'), true)
})

t.test('names with odd characters neither throw nor match by mistake', async (t) => {
  const names = [
    ' a',
    'a ',
    ' ',
    'a\nb',
    '\n',
    'a\\b',
    '\\',
    '#a',
    '!a',
    '[a',
    '...',
    '..a',
    '*',
    '\u{1f600}',
    'é',
    'e\u0301',
  ]
  for (const name of names) {
    for (const path of [name, `d/${name}`, `${name}/x`]) {
      t.equal(asked([...DEFAULT_RULES, 'zz/yy', '*.tmp', '?[qr]zz'], path), false, JSON.stringify(path))
    }
  }
  t.equal(asked(['*.tmp'], 'a\nb.tmp'), true)
  t.equal(asked(['a b'], 'a b'), true)
  t.equal(asked(['\\#a'], '#a'), true)
  t.equal(asked(['\\!a'], '!a'), true)
  t.equal(asked(['a\\ '], 'a '), true)
})

t.test('answers are those of gitignore for any rules and paths', async () => {
  const part = fc.constantFrom('a', 'b', 'ab', 'a.b', '*', 'a*', '*b', '?', '[ab]', '**', '!a', 'c')
  const rule = fc
    .tuple(fc.constantFrom('', '!', '/'), fc.array(part, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '/'))
    .map(([start, parts, end]) => start + parts.join('/') + end)
  const name = fc.constantFrom('a', 'b', 'ab', 'a.b', 'c', 'bb', '!a')
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'))
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 4 }), fc.array(path, { minLength: 1, maxLength: 6 }), (rules, paths) => {
      const ignored = compileIgnore(rules)
      const model = ignore({ ignorecase: false }).add(rules)
      return paths.every((p) => ignored(p as RelPath, false) === model.ignores(p))
    }),
    { numRuns: 500 },
  )
})

t.test('it goes on answering right when its memory has been full', async (t) => {
  const ignored = compileIgnore(['*.tmp', 'x/y'])
  for (let i = 0; i < 20_000; i++) ignored(`d${i}/a.tmp` as RelPath, false)
  t.equal(ignored('d1/a.tmp' as RelPath, false), true)
  t.equal(ignored('x/y' as RelPath, true), true)
  t.equal(ignored('d1/a' as RelPath, false), false)
})

t.test('rules come from the defaults, the configuration and the folder, in this order', async (t) => {
  const root = t.testdir({ '.syncignore': '\ufeff*.tmp\r\n!x.tmp\n' })
  const rules = readRules(hostPath(root), ['*.cfg'])
  t.same(rules, [...DEFAULT_RULES, '*.cfg', '*.tmp', '!x.tmp', ''])
  t.equal(asked(rules, 'a.tmp'), true)
})

t.test('a rules file that is a link, a directory, missing or huge is not taken', async (t) => {
  const cases: Record<string, (root: string) => void> = {
    link: (root) => {
      writeFileSync(join(root, 'rules'), '*\n')
      symlinkSync('rules', join(root, '.syncignore'))
    },
    directory: (root) => mkdirSync(join(root, '.syncignore')),
    missing: () => undefined,
    huge: (root) => writeFileSync(join(root, '.syncignore'), '*\n'.repeat(200_000)),
  }
  for (const [name, arrange] of Object.entries(cases)) {
    const root = t.testdir({})
    arrange(root)
    t.same(readRules(hostPath(root), []), DEFAULT_RULES, name)
  }
})
