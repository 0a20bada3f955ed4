// Runs the compiled tests, each file a process of its own, and ends with `N passed, N failed`.
//
//   npm test                                   all
//   npm test -- test/core test/rpc/peer        those whose path starts so (`.ts` may be given)
//   npm test -- --jobs 1 --timeout 300 …       processes at once, seconds a file may take
//
// A tap test is a plain program that prints TAP. The files are run without the `tap` runner, because its loaders reach into every
// process a test starts and cost a second a file; what is counted is what tap itself reports: the assertions.
import { spawn, spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
process.chdir(root)

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { jobs: { type: 'string' }, timeout: { type: 'string' }, coverage: { type: 'string', default: 'auto' } },
})
const jobs = Number(values.jobs ?? 2)
const timeoutS = Number(values.timeout ?? 240)
const coverageDir = join('dist', '.coverage')
const covered = /^test\/(core|model|properties)\//

const all = listTests()
const chosen =
  positionals.length === 0 ? all : all.filter((file) => positionals.some((filter) => matches(file, filter)))
const withCoverage = values.coverage === 'auto' ? chosen.length === all.length : values.coverage === 'on'

const running = new Set()
for (const name of ['SIGINT', 'SIGTERM']) {
  process.once(name, () => {
    for (const pid of running) killGroup(pid)
    process.exit(130)
  })
}

rmSync(coverageDir, { recursive: true, force: true })
const total = { passed: 0, failed: 0 }
const waiting = [...chosen]
await Promise.all(Array.from({ length: jobs }, () => work()))
if (withCoverage && total.failed === 0) checkCoverage()
if (total.passed + total.failed === 0) console.error('No test ran')
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0
console.log(`${total.passed} passed, ${total.failed} failed`)

/** Sources of the tests that have been compiled, the slow ones first so that the cores stay busy to the end. */
function listTests() {
  const sources = readdirSync('test', { recursive: true })
    .map((name) => join('test', name))
    .filter((name) => name.endsWith('.test.ts') && existsSync(compiled(name)))
  return sources.sort((a, b) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1))
}

function rankOf(name) {
  return name.startsWith('test/journeys/') ? 0 : name.startsWith('test/properties/') ? 1 : 2
}

function compiled(source) {
  return join('dist', source.replace(/\.ts$/, '.js'))
}

function matches(file, filter) {
  const wanted = filter
    .replace(/^\.\//, '')
    .replace(/^dist\//, '')
    .replace(/\.[jt]s$/, '')
  return file.startsWith(wanted) || file.replace(/\.ts$/, '') === wanted
}

async function work() {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) report(file, await run(file))
}

/** Runs one file; its whole process group ends with it. */
function run(file) {
  return new Promise((done) => {
    const env = { ...process.env, TAP_TIMEOUT: String(timeoutS) }
    if (withCoverage && covered.test(file)) env.NODE_V8_COVERAGE = coverageDir
    const started = performance.now()
    const child = spawn(process.execPath, ['--enable-source-maps', compiled(file)], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    running.add(child.pid)
    const out = []
    const err = []
    child.stdout.on('data', (bytes) => out.push(bytes))
    child.stderr.on('data', (bytes) => err.push(bytes))
    let timedOut = false
    const timer = setTimeout(
      () => {
        timedOut = true
        killGroup(child.pid)
      },
      (timeoutS + 20) * 1000,
    )
    child.on('exit', () => setTimeout(() => killGroup(child.pid), 1000).unref())
    child.on('close', (status, signal) => {
      clearTimeout(timer)
      running.delete(child.pid)
      killGroup(child.pid)
      done({
        tap: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
        status,
        why: timedOut ? `no end after ${timeoutS + 20} s` : `exit ${signal ?? status}`,
        ms: Math.round(performance.now() - started),
      })
    })
  })
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // it has ended
  }
}

/** Counts one file's assertions by tap's own summary; a file that dies otherwise is one failure more. */
function report(file, { tap, stderr, status, why, ms }) {
  const summary = [...tap.matchAll(/^# \{ total: \d+.*\}$/gm)].at(-1)?.[0] ?? ''
  const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(summary)?.[1] ?? 0)
  const [passed, failed, skipped] = [count('pass'), count('fail'), count('skip') + count('todo')]
  const empty = passed + failed + skipped === 0
  const lost = failed === 0 && (status !== 0 || empty) ? 1 : 0
  total.passed += passed
  total.failed += failed + lost
  const bad = failed + lost > 0
  const notes = `${skipped > 0 ? `, ${skipped} skipped` : ''}${failed > 0 ? `, ${failed} failed` : ''}${lost > 0 ? `, ${status === 0 ? 'no test in it' : why}` : ''}`
  console.log(`${bad ? 'not ok' : 'ok'} ${file}  ${passed} passed${notes}  ${ms} ms`)
  if (!bad) return
  console.log(indent(failures(tap) || tap.split('\n').slice(-40).join('\n')))
  if (stderr.trim() !== '') console.log(indent(stderr.split('\n').slice(-400).join('\n')))
}

/** The failed points of a TAP stream with their diagnostics, each below the names of the subtests it is in. */
function failures(tap) {
  const kept = []
  let inBlock = false
  for (const line of tap.split('\n')) {
    const text = line.trimStart()
    if (inBlock || text.startsWith('not ok') || text.startsWith('# Subtest') || text.startsWith('Bail out'))
      kept.push(line)
    if (text === '---' && kept.at(-1)?.trimStart().startsWith('not ok')) {
      kept.push(line)
      inBlock = true
    }
    if (text === '...') inBlock = false
  }
  const isTitle = (line) => line?.trimStart().startsWith('# Subtest')
  const depth = (line) => line.length - line.trimStart().length
  return kept
    .filter((line, i) => {
      if (!isTitle(line)) return true
      const next = kept[i + 1]
      return next !== undefined && !(isTitle(next) && depth(next) <= depth(line))
    })
    .join('\n')
}

function indent(text) {
  return text.replace(/^/gm, '    ')
}

/** Every line and function of lib/core and lib/model is run by some test, and every branch is taken; counted as one test more. */
function checkCoverage() {
  if (!existsSync(coverageDir)) return
  const c8 = createRequire(import.meta.url).resolve('c8/bin/c8.js')
  const args = ['report', '--temp-directory', coverageDir, '--reporter', 'text', '--exclude-after-remap']
  args.push('--include', 'lib/core/**', '--include', 'lib/model/**', '--check-coverage')
  args.push('--lines', '100', '--functions', '100', '--statements', '100', '--branches', '100')
  const { status, stdout } = spawnSync(process.execPath, [c8, ...args], { encoding: 'utf8' })
  if (status === 0) total.passed++
  else total.failed++
  console.log(`${status === 0 ? 'ok' : 'not ok'} coverage of lib/core and lib/model is whole`)
  if (status !== 0) console.log(indent(stdout))
}
