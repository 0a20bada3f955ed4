import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { compileIgnore } from '../../lib/disk/ignore.ts'
import { setTimesNs } from '../../lib/disk/native.ts'
import { scanTree } from '../../lib/disk/scan.ts'
import { hostPath, joinPath, ROOT } from '../../lib/model/path.ts'
import type { Entry } from '../../lib/model/entry.ts'
import type { Seen } from '../../lib/model/snapshot.ts'
import { Hands, scan } from '../../lib/replica/disk-jobs.ts'
import type { ScanPart } from '../../lib/replica/ports.ts'
import { Base } from '../../lib/store/base.ts'
import { aFolder, MTIME, rel, sha256, type Folder } from '../disk/a-folder.ts'

interface Agreed extends Folder {
  /** What a scan of everything sends. */
  scan(rules?: readonly string[]): Promise<{ changes: string[]; problems: string[]; listed: number }>
}

/** A folder whose base says that all of it was agreed on: `f`, `g` and a link, each twice, above and in `d`; and `d/e`, empty. */
function agreed(t: { teardown(fn: () => void): void }): Agreed {
  const folder = aFolder(t)
  for (const dir of ['', 'd/']) {
    if (dir !== '') mkdirSync(folder.at('d'))
    writeFileSync(folder.at(`${dir}f`), 'hello')
    writeFileSync(folder.at(`${dir}g`), '')
    symlinkSync('f', folder.at(`${dir}l`))
    setTimesNs(folder.at(`${dir}f`), MTIME)
  }
  mkdirSync(folder.at('d/e'))
  const baseFile = hostPath(join(folder.outside, 'base.db'))
  const base = Base.open(baseFile)
  t.teardown(() => {
    base.close()
  })
  scanTree(folder.dirs, ROOT, compileIgnore([]), ({ dir, seen }) => {
    base.put(
      seen.map((one) => ({ path: joinPath(dir, one.name), seq: 1, entry: entryOf(folder, one), print: one.print })),
    )
  })
  const hands = new Hands()
  t.teardown(() => {
    hands.dirs(folder.root).close()
  })
  return {
    ...folder,
    scan: async (rules = []) => {
      const parts: ScanPart[] = []
      const send = async (part: ScanPart): Promise<void> => void parts.push(part)
      await scan(
        hands,
        { at: { root: folder.root, baseFile }, trees: [ROOT], rules },
        { send, isCancelled: () => false },
      )
      return {
        changes: parts.flatMap(({ changes }) => changes.map(({ kind, path }) => `${kind} ${path}`)).sort(),
        problems: parts.flatMap(({ problems }) => problems.map(({ path }) => path)).sort(),
        listed: parts.reduce((sum, { listed }) => sum + listed, 0),
      }
    },
  }
}

function entryOf({ root }: Folder, { print, target, name }: Seen): Entry {
  if (print.kind === 'dir') return { kind: 'dir', mode: print.mode }
  if (print.kind === 'link') return { kind: 'link', target: target ?? '' }
  const { size, mtimeNs, mode } = print
  return { kind: 'file', size, mtimeNs, mode, sha256: sha256(name === 'f' ? readFileSync(`${root}/f`) : '') }
}

t.test('where nothing was touched a scan finds nothing, and counts all', async (t) => {
  t.same(await agreed(t).scan(), { changes: [], problems: [], listed: 8 })
})

const touches: Readonly<Record<string, { touch(at: (path: string) => string): void; finds: readonly string[] }>> = {
  'an edit that leaves size and mtime as they were': {
    touch: (at) => {
      writeFileSync(at('d/f'), 'HELLO')
      setTimesNs(at('d/f'), MTIME)
    },
    finds: ['put d/f'],
  },
  'an mtime that is a nanosecond later': {
    touch: (at) => {
      setTimesNs(at('d/f'), '1700000000123456790')
    },
    finds: ['put d/f'],
  },
  'an mtime before 1970': {
    touch: (at) => {
      setTimesNs(at('d/f'), '-1')
    },
    finds: ['put d/f'],
  },
  'another mode': {
    touch: (at) => {
      chmodSync(at('d/f'), 0o600)
    },
    finds: ['put d/f'],
  },
  'another mode of a directory': {
    touch: (at) => {
      chmodSync(at('d/e'), 0o700)
    },
    finds: ['put d/e'],
  },
  'another file of the same name': {
    touch: (at) => {
      writeFileSync(at('d/x'), 'hello')
      setTimesNs(at('d/x'), MTIME)
      renameSync(at('d/x'), at('d/f'))
    },
    finds: ['put d/f'],
  },
  'a new file': {
    touch: (at) => {
      writeFileSync(at('d/e/new'), '')
    },
    finds: ['put d/e/new'],
  },
  'a file that is gone': {
    touch: (at) => {
      rmSync(at('d/g'))
    },
    finds: ['gone d/g'],
  },
  'one gone and one new': {
    touch: (at) => {
      renameSync(at('d/g'), at('d/h'))
    },
    finds: ['gone d/g', 'put d/h'],
  },
  'a link that points elsewhere': {
    touch: (at) => {
      rmSync(at('d/l'))
      symlinkSync('g', at('d/l'))
    },
    finds: ['put d/l'],
  },
  'a directory in place of a file': {
    touch: (at) => {
      rmSync(at('d/g'))
      mkdirSync(at('d/g'))
      writeFileSync(at('d/g/in'), '')
    },
    finds: ['put d/g', 'put d/g/in'],
  },
  'a file in place of a directory': {
    touch: (at) => {
      rmSync(at('d'), { recursive: true })
      writeFileSync(at('d'), '')
    },
    finds: ['gone d/e', 'gone d/f', 'gone d/g', 'gone d/l', 'put d'],
  },
}

for (const [what, { touch, finds }] of Object.entries(touches)) {
  t.test(`a scan finds ${what}`, async (t) => {
    const folder = agreed(t)
    touch(folder.at)
    t.same((await folder.scan()).changes, finds)
  })
}

t.test('a special file and a name that is no UTF-8 are problems of a directory that is untouched else', async (t) => {
  const folder = agreed(t)
  execFileSync('mkfifo', [folder.at('d/pipe')])
  writeFileSync(Buffer.concat([Buffer.from(folder.at('d/e/')), Buffer.of(0xe9)]), '')
  const { changes, problems } = await folder.scan()
  t.same(changes, [])
  t.equal(problems.length, 2)
})

t.test('what is ignored is neither found nor missed, known or not', async (t) => {
  const folder = agreed(t)
  writeFileSync(folder.at('d/x.tmp'), '')
  t.same((await folder.scan(['*.tmp'])).changes, [])
  writeFileSync(folder.at('d/e/new'), '')
  t.same((await folder.scan(['*.tmp', 'e/'])).changes, [])
  rmSync(folder.at('d/f'))
  t.same((await folder.scan(['*.tmp', 'e/', 'f'])).changes, [])
})

t.test('a fingerprint too large for 64 bits is compared all the same', async (t) => {
  const folder = agreed(t)
  using base = Base.open(hostPath(join(folder.outside, 'base.db')))
  const row = base.row(rel('d/f'))
  if (row === undefined) throw new Error('d/f was agreed on')
  base.put([{ ...row, print: { ...row.print, ino: '18446744073709551615' } }])
  t.same((await folder.scan()).changes, ['put d/f'])
  rmSync(folder.at('d/f'))
  t.same((await folder.scan()).changes, ['gone d/f'])
})
