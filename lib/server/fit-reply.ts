// Cuts the answer to a batch of proposals to what fits one message.

import type { PlacedHead } from '../model/content.ts'
import type { Seq } from '../model/revision.ts'
import type { CommitReply } from '../replica/ports.ts'
import { toWireHead, toWireOutcome } from '../rpc/wire.ts'

/** The answer as it goes on the wire. */
export interface WireReply {
  readonly outcomes: readonly unknown[]
  readonly heads: readonly unknown[]
  readonly prev: Seq
  readonly upTo: Seq
}

/**
 * The reply for the wire, at most `maxBytes` long. Heads that do not fit are left out, those with the highest Seqs. Then `upTo` is the Seq before
 * the first of them and `prev` the one after: a commit that ends before it starts tells the client that it knows all up to `upTo` only, and to ask.
 */
export function fitReply({ outcomes, heads, prev, upTo }: CommitReply, maxBytes: number): WireReply {
  const said = { outcomes: outcomes.map(toWireOutcome), heads: heads.map(toWireHead), prev, upTo }
  // Nearly every answer has no head at all, and so nothing that could be left out.
  if (heads.length === 0 || bytesOf(said) <= maxBytes) return said
  const inOrder = [...heads].sort((a, b) => a.head.seq - b.head.seq)
  const first = firstLeftOut(inOrder, maxBytes - bytesOf({ ...said, heads: [] }))
  const kept = inOrder.filter(({ head }) => head.seq < first)
  return { outcomes: said.outcomes, heads: kept.map(toWireHead), prev: first, upTo: first - 1 }
}

/** The Seq of the first head that does not fit, the last at latest; those of one Seq stay together. */
function firstLeftOut(heads: readonly PlacedHead[], maxBytes: number): Seq {
  let left = maxBytes
  const first = heads.find((placed) => {
    left -= bytesOf(toWireHead(placed)) + 1
    return left < 0
  })
  return Math.max(1, (first ?? heads.at(-1))?.head.seq ?? 1)
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}
