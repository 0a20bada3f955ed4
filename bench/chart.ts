// Draws the one chart of a run: for each work the time of every contender as a multiple of the best, on a logarithmic scale.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Result } from './run.ts'
import { type Cell, cellsOf, renderValue, worksOf } from './table.ts'

const WIDTH = 860
const LEFT = 190
const RIGHT = 110
const BAR = 13
const GAP = 14
/** Ratios from 1 to this fill the width; larger ones are cut off there and say so in their label. */
const WIDEST_RATIO = 100
const TIME = ['time_s', 'median_ms', 'after_last_s', 'cpu_s_per_min']

/** Writes chart.svg into `dir`. */
export function drawChart(dir: string, results: readonly Result[]): void {
  const groups = worksOf(results).map((work) => {
    const cells = cellsOf(results, work)
    const figure = TIME.find((name) => cells.some((cell) => cell.figure === name))
    return { work, cells: cells.filter((cell) => cell.figure === figure && !Number.isNaN(cell.value)) }
  })
  const parts: string[] = []
  let y = 40
  for (const { work, cells } of groups) {
    parts.push(text({ x: 12, y: y + BAR - 2, anchor: 'start', weight: 600 }, work))
    for (const cell of cells) {
      parts.push(bar(cell, y))
      y += BAR + 2
    }
    y += GAP
  }
  const title = text({ x: 12, y: 22, anchor: 'start', weight: 600 }, 'Time as a multiple of the quickest (logarithmic)')
  const style =
    '<style>text{font:12px system-ui,sans-serif;fill:#222}@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>'
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">`
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'chart.svg'), [head, style, title, ...parts, '</svg>', ''].join('\n'))
}

function bar({ contender, figure, value, ratio }: Cell, y: number): string {
  const share = Number.isNaN(ratio) ? 0 : Math.min(1, Math.log(ratio) / Math.log(WIDEST_RATIO))
  const width = Math.max(3, share * (WIDTH - LEFT - RIGHT))
  const colour = contender === 'systemsync' ? '#1f7a4d' : '#8a94a3'
  const label = `${renderValue(figure, value)}${Number.isNaN(ratio) ? '' : `  ×${ratio.toFixed(ratio < 10 ? 1 : 0)}`}`
  return [
    text({ x: LEFT - 8, y: y + BAR - 2, anchor: 'end', weight: contender === 'systemsync' ? 600 : 400 }, contender),
    `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2" fill="${colour}"/>`,
    text({ x: LEFT + width + 6, y: y + BAR - 2, anchor: 'start', weight: 400 }, label),
  ].join('')
}

function text(at: { x: number; y: number; anchor: string; weight: number }, content: string): string {
  return `<text x="${at.x.toFixed(1)}" y="${at.y}" text-anchor="${at.anchor}" font-weight="${at.weight}">${content}</text>`
}
