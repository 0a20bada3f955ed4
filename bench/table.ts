// Shows the results as tables: medians over the rounds, and ratios to the best contender.

import type { Result } from './run.ts'
import { median } from './statistics.ts'

/** One cell: the median over the rounds and its ratio to the lowest median. */
export interface Cell {
  readonly contender: string
  readonly figure: string
  readonly value: number
  readonly ratio: number
}

/** All cells of one work, in the order in which contenders and figures appear. */
export function cellsOf(results: readonly Result[], work: string): Cell[] {
  const mine = results.filter((result) => result.work === work)
  const contenders = [...new Set(mine.map(({ contender }) => contender))]
  const figures = [...new Set(mine.flatMap((result) => Object.keys(result.figures)))]
  return figures.flatMap((figure) => {
    const values = contenders.map((contender) => {
      const rounds = mine.filter((result) => result.contender === contender).map((result) => result.figures[figure])
      return { contender, value: median(rounds.filter((value) => value !== undefined)) }
    })
    const best = Math.min(...values.map(({ value }) => value).filter((value) => !Number.isNaN(value)))
    return values.map(({ contender, value }) => ({
      contender,
      figure,
      value,
      ratio: best > 0 ? value / best : Number.NaN,
    }))
  })
}

/** The works in the results, in order. */
export function worksOf(results: readonly Result[]): string[] {
  return [...new Set(results.map(({ work }) => work))]
}

/** One work as a Markdown table. */
export function renderTable(results: readonly Result[], work: string, title: string): string {
  const cells = cellsOf(results, work)
  const figures = [...new Set(cells.map(({ figure }) => figure))]
  const contenders = [...new Set(cells.map(({ contender }) => contender))]
  const lines = contenders.map((contender) => {
    const row = figures.map((figure) => cells.find((cell) => cell.contender === contender && cell.figure === figure))
    return `| ${[contender, ...row.map((cell) => (cell === undefined ? '-' : renderCell(cell)))].join(' | ')} |`
  })
  const head = `| contender | ${figures.map((figure) => figure.replace(/_(s|ms|bytes)$/, '').replaceAll('_', ' ')).join(' | ')} |`
  const rule = `| --- |${figures.map(() => ' --- |').join('')}`
  return [`**${work}: ${title}**`, '', head, rule, ...lines, ''].join('\n')
}

function renderCell({ figure, value, ratio }: Cell): string {
  if (Number.isNaN(value)) return '-'
  const shown = Number.isNaN(ratio) ? '' : ` x${ratio < 10 ? ratio.toFixed(2) : ratio.toFixed(0)}`
  return `${renderValue(figure, value)}${shown}`
}

/** A figure in its unit. */
export function renderValue(figure: string, value: number): string {
  if (figure.endsWith('_bytes')) return renderBytes(value)
  if (figure.endsWith('_ms')) return `${value.toFixed(1)} ms`
  return `${value.toFixed(value < 10 ? 2 : 1)} s`
}

function renderBytes(bytes: number): string {
  if (bytes >= 1024 ** 3) return `${(bytes / 1024 ** 3).toFixed(2)} GiB`
  if (bytes >= 1024 ** 2) return `${(bytes / 1024 ** 2).toFixed(1)} MiB`
  return `${(bytes / 1024).toFixed(1)} KiB`
}
