// Who may log in, from the lines of an authorized_keys file.

import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { KeyBook, parseAuthorizedKeys } from '../../lib/ssh/authorized-keys.ts'

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKaNIGXoIl3rdpAzHFaESc8mtRKoq+rJGHe9KDNIGRPX'
const OTHER = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIyXZvLyRx07gs7GV6BRN8/EqoO9VdjFTcNCM3x2XUGF'
const PRINT = 'SHA256:HG49BMl9gsMq9RaY/kK3A13Yglh3sqeS6lVg8bK74rg'
const HERE = { remoteAddress: '127.0.0.1', now: Date.UTC(2026, 0, 1) }

function offered(line: string) {
  const [type = '', base64 = ''] = line.split(' ')
  return { type, blob: Buffer.from(base64, 'base64') }
}

function bookOf(t: Test, text: string) {
  const warnings: string[] = []
  const file = `${t.testdir({ keys: text })}/keys`
  chmodSync(file, 0o600)
  return { file, warnings, book: new KeyBook(file, { warn: (message) => warnings.push(message) }) }
}

const GOOD: readonly [line: string, comment: string][] = [
  [KEY, ''],
  [`${KEY} ann@laptop`, 'ann@laptop'],
  [`  ${KEY}   two words\r`, 'two words'],
  [`restrict ${KEY} x`, 'x'],
  [`no-pty,command="echo \\"a, b\\" c" ${KEY} x`, 'x'],
  [`command="ssh-ed25519 AAAA",restrict ${KEY} x`, 'x'],
  [`from="127.0.0.1,10.*" ${KEY} x`, 'x'],
  [`FROM="*",No-Pty ${KEY} x`, 'x'],
  [`expiry-time="20260102" ${KEY} x`, 'x'],
  [`expiry-time="202601010001Z" ${KEY} x`, 'x'],
]

for (const [line, comment] of GOOD) {
  t.test(`lets in: ${line}`, (t) => {
    const { book, warnings } = bookOf(t, `# a comment\n\n${line}\n`)
    t.same(book.find(offered(KEY), HERE), { fingerprint: PRINT, comment })
    t.equal(book.find(offered(OTHER), HERE), undefined, 'and nobody else')
    t.same(warnings, [])
    t.end()
  })
}

const BAD: readonly string[] = [
  `# ${KEY}`,
  `from="10.0.0.1" ${KEY}`,
  `from="laptop.example" ${KEY}`,
  `expiry-time="20251231" ${KEY}`,
  `expiry-time="202512312359Z" ${KEY}`,
]

for (const line of BAD) {
  t.test(`does not let in, without a word: ${line}`, (t) => {
    const { book, warnings } = bookOf(t, line)
    t.equal(book.find(offered(KEY), HERE), undefined)
    t.same(warnings, [])
    t.end()
  })
}

const SKIPPED: readonly [line: string, reason: RegExp][] = [
  [`cert-authority ${KEY}`, /certificates/],
  [`unheard-of ${KEY}`, /"unheard-of" is not known/],
  [`unheard-of="x" ${KEY}`, /is not known/],
  [`expiry-time="soon" ${KEY}`, /"soon" is not a time/],
  [`expiry-time="20261399" ${KEY}`, /is not a time/],
  [`from ${KEY}`, /"from" is not known/],
  [`command="open ${KEY}`, /is not supported/],
  [KEY.replace('ssh-ed25519', 'sk-ssh-ed25519@openssh.com'), /is not supported/],
  [KEY.replace('ssh-ed25519', 'ssh-rsa'), /not of the type ssh-rsa/],
  ['ssh-ed25519 ?', /not base64/],
  ['ssh-ed25519', /not base64/],
  ['ssh-ed25519 AAAA', /not of the type/],
]

for (const [line, reason] of SKIPPED) {
  t.test(`skips with its reason: ${line}`, (t) => {
    const { keys, skipped } = parseAuthorizedKeys(`\n${line}\n${OTHER}\n`)
    t.equal(keys.length, 1, 'the other lines count')
    t.equal(skipped[0]?.line, 2)
    t.match(skipped[0]?.reason, reason)
    t.end()
  })
}

t.test('a missing file lets nobody in, and says so once', (t) => {
  const { book, file, warnings } = bookOf(t, KEY)
  rmSync(file)
  t.equal(book.find(offered(KEY), HERE), undefined)
  t.equal(book.find(offered(KEY), HERE), undefined)
  t.equal(warnings.length, 1)
  t.end()
})

t.test('a change of the file counts from the next login on', (t) => {
  const { book, file } = bookOf(t, KEY)
  t.ok(book.find(offered(KEY), HERE))
  writeFileSync(file, `${OTHER} longer than before\n`)
  t.equal(book.find(offered(KEY), HERE), undefined)
  t.ok(book.find(offered(OTHER), HERE))
  rmSync(file)
  t.equal(book.find(offered(OTHER), HERE), undefined)
  writeFileSync(file, KEY)
  t.ok(book.find(offered(KEY), HERE))
  t.end()
})

t.test('a file that everybody can write to lets nobody in', (t) => {
  const { book, file, warnings } = bookOf(t, KEY)
  chmodSync(file, 0o602)
  t.equal(book.find(offered(KEY), HERE), undefined)
  t.match(warnings[0], /chmod o-w/)
  t.end()
})

t.test('a file above 1 MiB lets nobody in', (t) => {
  const { book, warnings } = bookOf(t, `${KEY}\n${'#'.repeat(1024 * 1024)}`)
  t.equal(book.find(offered(KEY), HERE), undefined)
  t.match(warnings[0], /1 MiB/)
  t.end()
})

t.test('the same blob under another type is another key', (t) => {
  const { book } = bookOf(t, KEY)
  t.equal(book.find({ ...offered(KEY), type: 'ssh-rsa' }, HERE), undefined)
  t.end()
})

t.test('what is said of a skipped line names the line', (t) => {
  const { book, warnings, file } = bookOf(t, `${KEY}\nnonsense here\n`)
  book.find(offered(KEY), HERE)
  book.find(offered(KEY), HERE)
  t.same(warnings, [`Skipped line 2 of "${file}": key type "here" is not supported`])
  t.end()
})
