// Guards against mass deletes: when more of a folder is gone than a person may have meant.

/** `share`: of all paths of the folder, 0 to 1. */
export type MaxDelete = { readonly kind: 'share'; readonly share: number } | { readonly kind: 'off' }

/** Up to this many deletes are never held. */
export const FREE_DELETES = 10

const GATHER_MS = 250
/** A few deletes may be the first of many. */
const GATHER_FEW_MS = 100

/**
 * Holds deletes that are more than the share, and more than ten. `gone`: paths gone now, moves left out; `recent`: deletes sent of late, which
 * the base has forgotten; `total`: paths in the base.
 */
export function guardDeletes(found: {
  readonly gone: number
  readonly recent: number
  readonly total: number
  readonly maxDelete: MaxDelete
}): 'pass' | 'hold' {
  const { gone, recent, total, maxDelete } = found
  if (maxDelete.kind === 'off' || gone === 0) return 'pass'
  const deleted = gone + recent
  return deleted > FREE_DELETES && deleted > maxDelete.share * (total + recent) ? 'hold' : 'pass'
}

/** How long to gather further deletes before `gone` of them are judged. Milliseconds. */
export function quietMs(gone: number): number {
  return gone > FREE_DELETES ? GATHER_MS : GATHER_FEW_MS
}
