// A coordinator and two clients in this process, one of them over a slow link.

import type { Test } from 'tap'
import { InProcess } from './in-process.ts'
import { slowRelay, type SlowRelay } from './slow-relay.ts'

export interface SlowTrio {
  readonly nodes: InProcess
  readonly relay: SlowRelay
}

/** A coordinator, ann with a link of her own, and bob over a slow one, or the other way round. */
export async function slowTrio(t: Test, slow: 'ann' | 'bob', bytesPerSecond: number): Promise<SlowTrio> {
  const nodes = InProcess.open(t, { clients: ['ann', 'bob'] })
  await nodes.startServer()
  const relay = await slowRelay(t, nodes.coordinator.port(), bytesPerSecond)
  for (const name of ['ann', 'bob']) {
    nodes.way = name === slow ? relay.port : undefined
    await nodes.startClient(name)
  }
  await nodes.inStep()
  return { nodes, relay }
}
