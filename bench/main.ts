// npm run bench: the same work for SystemSync and for every rival on this machine, in one run.

import { rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { drawChart } from './chart.ts'
import type { Contender } from './contender.ts'
import { lsyncd } from './contenders/lsyncd.ts'
import { rsync, rsyncWarm } from './contenders/rsync.ts'
import { syncthing } from './contenders/syncthing.ts'
import { systemsync } from './contenders/systemsync.ts'
import { unison, unisonWatch } from './contenders/unison.ts'
import { type Options, parseOptions, USAGE } from './options.ts'
import { beginRecord, type RunRecord, writeRecord } from './record.ts'
import { isSelected, type Result, runRounds } from './run.ts'
import { OWN_NETWORK, PRIVATE_DIR, runInSandbox } from './sandbox.ts'
import { renderTable, renderValue, worksOf } from './table.ts'
import type { Workload } from './workload.ts'
import { bigFile } from './workloads/big-file.ts'
import { burst } from './workloads/burst.ts'
import { fanOut, fanToOne } from './workloads/fan-out.ts'
import { latency } from './workloads/latency.ts'
import { rename } from './workloads/rename.ts'
import { restart } from './workloads/restart.ts'
import { slowEdit, slowSaves, slowSmallFiles } from './workloads/slow-link.ts'
import { smallFiles, smallFilesCold } from './workloads/small-files.ts'

const CONTENDERS: readonly Contender[] = [systemsync, rsync, rsyncWarm, unison, unisonWatch, lsyncd, syncthing]
const WORKLOADS: readonly Workload[] = [
  latency,
  smallFiles,
  smallFilesCold,
  bigFile,
  rename,
  restart,
  burst,
  slowSaves,
  slowSmallFiles,
  slowEdit,
  fanToOne,
  fanOut,
]

/** What `--quick` does when it is not told what. */
const QUICK = ['W1', 'W2', 'W3', 'W4', 'W5', 'W7']

/** `--quick` ends within three minutes, however busy the machine is. */
const QUICK_MS = 165_000

// Timers of work that was stopped must not hold the end up.
process.exit(await main(process.argv.slice(2)))

async function main(argv: readonly string[]): Promise<number> {
  let options: Options | 'help'
  try {
    options = parseOptions(argv)
  } catch (error) {
    console.error(`bench: ${(error as Error).message}\n\n${USAGE}`)
    return 64
  }
  if (options === 'help') {
    console.log(USAGE)
    return 0
  }
  const dir = process.env[PRIVATE_DIR]
  if (dir === undefined) return runInSandbox(process.argv[1] ?? '', argv, options.on)
  return runInside(options, dir)
}

async function runInside(options: Options, dir: string): Promise<number> {
  const stop = new AbortController()
  const abort = () => stop.abort(new Error('stopped'))
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, abort)
  process.stdin.on('end', abort).on('error', abort).resume()
  const contenders = choose(options)
  const isOwnNetwork = process.env[OWN_NETWORK] === '1'
  let record = beginRecord(options, contenders, isOwnNetwork)
  const out = resolve(options.out)
  const keep = (more: Partial<RunRecord>) => {
    record = { ...record, ...more }
    writeRecord(out, record)
  }
  const isIn = (work: string) =>
    isSelected(options, work) && (options.only.length > 0 || !options.quick || QUICK.includes(work))
  const workloads = WORKLOADS.filter(({ works }) => works.some(isIn))
  const budget = options.quick ? AbortSignal.timeout(QUICK_MS) : new AbortController().signal
  const signal = AbortSignal.any([stop.signal, budget])
  await runRounds({
    ...{ options, workloads, contenders, dir, isOwnNetwork, signal },
    tell: (result) => {
      console.log(renderResult(result))
      keep({ results: [...record.results, result] })
    },
    fail: (failure) => {
      console.error(`FAILED ${failure.work} ${failure.contender} round ${failure.round}: ${failure.reason}`)
      keep({ failures: [...record.failures, failure] })
    },
  })
  rmSync(dir, { recursive: true, force: true })
  process.stdin.destroy()
  for (const work of worksOf(record.results)) console.log(`\n${renderTable(record.results, work, titleOf(work))}`)
  drawChart(out, record.results)
  console.log(`results and chart: ${out}`)
  if (stop.signal.aborted) return 130
  if (budget.aborted) console.log(`stopped after ${QUICK_MS / 1000} s, as --quick promises; the rest was left out`)
  return record.failures.length > 0 ? 1 : 0
}

function choose({ contenders }: Options): Contender[] {
  return CONTENDERS.filter((contender) => {
    if (contenders.length > 0 && !contenders.includes(contender.name)) return false
    const version = contender.version()
    console.log(version === undefined ? `${contender.name}: not on this machine` : `${contender.name} ${version}`)
    return version !== undefined
  })
}

function titleOf(work: string): string {
  return WORKLOADS.find(({ works }) => works.includes(work))?.title ?? work
}

function renderResult({ work, contender, round, figures, noise }: Result): string {
  const shown = Object.entries(figures).map(
    ([name, value]) => `${name.replace(/_(s|ms|bytes)$/, '')} ${renderValue(name, value)}`,
  )
  return `${work} ${contender} #${round}: ${shown.join(', ')} (load ${noise.load.toFixed(1)})`
}
