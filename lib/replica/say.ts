// Says something to the hub: noted before it leaves, struck when the answer is here, or when it is certain that nothing came of it.

import { Refused } from '../errors.ts'
import type { Saying } from '../store/unheard.ts'
import type { FolderState } from './folder-state.ts'
import type { CommitReply } from './ports.ts'

/** `settle` records the answer, and strikes the note in the same transaction. */
export interface Call {
  readonly call: () => Promise<CommitReply>
  readonly settle: (reply: CommitReply, id: number) => void
}

/** Proposes what `saying` says. `link`: ends with the link; what waits for an answer then is asked for over the next one. Throws what the call throws. */
export async function say(
  state: FolderState,
  saying: Saying,
  { call, settle }: Call,
  link: AbortSignal,
): Promise<void> {
  const { base } = state.parts
  // A note that is made when the next link has begun would be looked at by none of the two.
  link.throwIfAborted()
  const id = base.unheard.note(saying)
  try {
    settle(await call(), id)
  } catch (error) {
    if (!link.aborted) {
      if (isUndone(error)) base.unheard.heard(id)
      else state.lost(id)
    }
    throw error
  }
}

/** Whether nothing was committed: the coordinator refused. When it failed, it may have done so after the commit. */
function isUndone(error: unknown): boolean {
  return error instanceof Refused && error.status !== 500
}
