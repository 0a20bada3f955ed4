// How facts look to a person: tables, sizes, times.

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB']

/** Rows with aligned columns, a line each; the last column is not padded. No row, no text. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  }
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('  ')
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('')
}

/** `1.2 GB` (1 KB = 1000 bytes, as disks and networks count). */
export function size(bytes: number): string {
  const { value, unit } = scale(bytes)
  return `${value} ${unit}`
}

/** `1.2/3.4 GB`: both in the unit of the whole. */
export function sizeOf(done: number, total: number): string {
  const power = powerOf(total)
  return `${shorten(done / 1000 ** power)}/${shorten(total / 1000 ** power)} ${UNITS[power] ?? 'B'}`
}

/** An ISO time as local time to the second; as it is when it is none. */
export function localTime(iso: string): string {
  const time = new Date(iso)
  if (Number.isNaN(time.getTime())) return visible(iso)
  const two = (n: number) => String(n).padStart(2, '0')
  const date = [String(time.getFullYear()), two(time.getMonth() + 1), two(time.getDate())].join('-')
  return `${date} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':')}`
}

/** `text` without what would steer a terminal. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** `1 file`, `2 files`. */
export function plural(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? '' : 's'}`
}

function scale(bytes: number): { value: string; unit: string } {
  const power = powerOf(bytes)
  return { value: shorten(bytes / 1000 ** power), unit: UNITS[power] ?? 'B' }
}

function powerOf(bytes: number): number {
  const power = bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3)
  return Math.min(power, UNITS.length - 1)
}

function shorten(value: number): string {
  return Number.isInteger(value) || value >= 100 ? String(Math.round(value)) : value.toFixed(1)
}
