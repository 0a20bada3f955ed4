import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { lstatSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { acquireDirLock, acquireLock } from '../../lib/disk/lock-file.ts'

t.test('a lock is held by one, names its holder, and can be taken again after it', async (t) => {
  const path = join(t.testdir({ lock: 'something long and old' }), 'lock')
  const lock = acquireLock(path)
  t.ok(lock)
  t.equal(acquireLock(path), undefined)
  t.equal(readFileSync(path, 'utf8'), `${process.pid}\n`)
  lock?.[Symbol.dispose]()
  lock?.[Symbol.dispose]()
  const again = acquireLock(path)
  t.ok(again)
  again?.[Symbol.dispose]()
})

t.test('a directory is held by one, by whatever name, and nothing is put into it', async (t) => {
  const dir = t.testdir({ folder: {} })
  symlinkSync(`${dir}/folder`, `${dir}/link`)
  const lock = acquireDirLock(`${dir}/folder`)
  t.ok(lock)
  t.equal(acquireDirLock(`${dir}/link`), undefined)
  t.same(readdirSync(`${dir}/folder`), [])
  lock?.[Symbol.dispose]()
  acquireDirLock(`${dir}/link`)?.[Symbol.dispose]()
  using missing = acquireDirLock(`${dir}/missing`)
  t.ok(missing, 'what is not there is nobody else')
})

t.test('a lock file is made for its owner alone', async (t) => {
  const path = join(t.testdir(), 'lock')
  using lock = acquireLock(path)
  t.ok(lock)
  t.equal(lstatSync(path).mode & 0o777, 0o600)
})

t.test('a lock ends when its holder is killed', async (t) => {
  const path = join(t.testdir(), 'lock')
  const lib = new URL('../../lib/disk/lock-file.js', import.meta.url).href
  const code = `const { acquireLock } = await import(${JSON.stringify(lib)})
    globalThis.lock = acquireLock(${JSON.stringify(path)}); console.log('held'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  t.equal(acquireLock(path), undefined)
  child.kill('SIGKILL')
  await once(child, 'exit')
  using lock = acquireLock(path)
  t.ok(lock)
})

t.test('a lock is not taken through a link, nor where there is no directory', async (t) => {
  const dir = t.testdir()
  symlinkSync(join(dir, 'elsewhere'), join(dir, 'lock'))
  t.throws(() => acquireLock(join(dir, 'lock')), { code: 'ELOOP' })
  t.throws(() => acquireLock(join(dir, 'none/lock')), { code: 'ENOENT' })
})
