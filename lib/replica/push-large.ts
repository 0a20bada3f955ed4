// Pushes large files: each by itself, as a patch or whole, with where it was moved from.

import { Recipe } from '../core/recipe.ts'
import type { Source, SourcedProposal } from '../model/content.ts'
import type { Deletes } from './deletes.ts'
import type { Attached, FolderState } from './folder-state.ts'
import type { Outcomes } from './outcomes.ts'
import { sendLarge } from './patch-push.ts'
import { fileEntry, type Gone, type Put } from './push-change.ts'
import type { PutReader } from './read-puts.ts'

/** What a large file needs on its way. */
export interface LargePush {
  readonly state: FolderState
  readonly deletes: Deletes
  readonly reader: PutReader
  readonly outcomes: Outcomes
}

/** Pushes one large file; `from`: where it was moved from. */
export async function pushLarge(
  { state, deletes, reader, outcomes }: LargePush,
  { change, from }: { readonly change: Put; readonly from: Gone | undefined },
  { hub, signal }: Attached,
): Promise<void> {
  const { base, disk } = state.parts
  const { progress } = state
  progress.filesTotal++
  progress.bytesTotal += change.print.size
  const file = { path: change.path, print: change.print }
  const before = change.base?.entry
  const hashed = await disk.hash({ ...file, like: before?.kind === 'file' ? before.sha256 : undefined }, signal)
  if (hashed.kind !== 'read') {
    reader.unread(change, hashed)
    return
  }
  const ready = reader.decide(change, fileEntry(change, hashed.sha256), hub)
  if (ready === undefined) return
  const content = { sha256: hashed.sha256, size: change.print.size }
  using pushed = state.prefetches.own(hashed.sha256)
  void pushed
  const [holding] = await hub.holdings([content], signal)
  let source: Source = { kind: 'held' }
  if (holding?.kind === 'go') {
    const patch = outcomes.mustSend(change.path) ? 'the coordinator asked for it' : hashed.patch
    const onBytes = (bytes: number): void => {
      progress.bytesDone += bytes
      state.changed()
    }
    const large = { ...content, file, staged: holding.staged, patch }
    const sent = await sendLarge(large, { hub, parts: state.parts }, onBytes, signal)
    if (sent === undefined) {
      reader.unread(change, { kind: 'changed' })
      return
    }
    source = sent
  }
  const gone = from === undefined ? [] : await deletes.confirmGone([from], hub, signal)
  const batch = gone.map((item): SourcedProposal => ({ proposal: item.proposal, source: { kind: 'held' } }))
  const all = [...batch, { proposal: ready.proposal, source }]
  await outcomes.propose([...gone, ready], () => hub.propose(all, signal), signal)
  if (hashed.recipe !== undefined) base.putRecipe(hashed.sha256, new Recipe(hashed.recipe))
  progress.filesDone++
}
