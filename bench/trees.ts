// Makes the folders that the workloads carry; contents are random, so nothing on the way can shrink or share them.

import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** The shape of a tree: `files` files of `sizeBytes` spread evenly over `dirs` directories. */
export interface TreeShape {
  readonly files: number
  readonly dirs: number
  readonly sizeBytes: number
}

const BLOCK = 8 * 1024 * 1024

/** Makes the tree in `root`, which may exist. */
export function makeTree(root: string, { files, dirs, sizeBytes }: TreeShape): void {
  for (let at = 0; at < dirs; at++) mkdirSync(join(root, dirName(at)), { recursive: true })
  for (let at = 0; at < files; at++) writeFileSync(join(root, fileName(at, dirs)), randomBytes(sizeBytes))
}

/** The name of file number `at` in a tree of `dirs` directories. */
export function fileName(at: number, dirs: number): string {
  return `${dirName(at % dirs)}/f${at}`
}

function dirName(at: number): string {
  return `d${at}`
}

/** Makes one file of random bytes. */
export function makeFile(path: string, sizeBytes: number): void {
  const fd = openSync(path, 'w')
  for (let left = sizeBytes; left > 0; left -= BLOCK) writeSync(fd, randomBytes(Math.min(left, BLOCK)))
  closeSync(fd)
}

/** Writes `to`: `from` with `front` before it and `middle` over what stands in its middle. */
export function spliceFile(from: string, to: string, { front, middle }: { front: Buffer; middle: Buffer }): void {
  const source = openSync(from, 'r')
  const target = openSync(to, 'w')
  writeSync(target, front)
  const block = Buffer.alloc(BLOCK)
  let size = front.length
  for (let got = readSync(source, block); got > 0; got = readSync(source, block))
    size += writeSync(target, block, 0, got)
  writeSync(target, middle, 0, middle.length, Math.floor(size / 2))
  closeSync(source)
  closeSync(target)
}
