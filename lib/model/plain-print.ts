// Plain prints: fingerprints as bare numbers, to find out what is untouched without making anything of it.

/**
 * A fingerprint in eight numbers, none of which a double rounds: kind and mode (as `st_mode`, without the three bits above the nine), size,
 * mtime in s and ns, ctime in s and ns, the upper and the lower 32 bits of the inode. `null` where a number cannot tell it. More may follow.
 */
export type PlainPrint = readonly unknown[]

const S_IFMT = 0o170000
const S_IFDIR = 0o040000
const NUMBERS = 8

export function isPlainDir(print: readonly number[]): boolean {
  return ((print[0] ?? 0) & S_IFMT) === S_IFDIR
}

/** `samePrint` for plain prints, but for one thing: `false` may also mean that it cannot be told. */
export function samePlainPrint(before: PlainPrint, now: readonly number[]): boolean {
  if (before[0] !== now[0]) return false
  if (isPlainDir(now)) return true
  for (let i = 1; i < NUMBERS; i++) if (before[i] !== now[i]) return false
  return true
}
