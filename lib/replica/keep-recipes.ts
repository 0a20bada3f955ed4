// Keeps a recipe of every large content in a folder, made when nobody else has anything to do, so that its next edit can be told as a patch.

import { Recipe } from '../core/recipe.ts'
import type { Digest } from '../model/digest.ts'
import { Bell } from './bell.ts'
import type { FolderState } from './folder-state.ts'

/** After a change so long is waited for more of them: not long, for an edit that comes before the recipe travels whole. */
const QUIET_MS = 250

/** Runs until `until` ends. What it cannot do now it does after the next large file. */
export async function keepRecipes(state: FolderState, until: AbortSignal): Promise<void> {
  const signal = AbortSignal.any([until]) // one listener of the replica's signal, however many wait in here
  const { base, clock, log, name } = state.parts
  const bell = new Bell()
  let seen = -1
  using listening = state.onChange(() => {
    if (base.largePuts !== seen) bell.ring()
  })
  for (void listening; ;) {
    await bell.wait(signal)
    await clock.sleep(QUIET_MS, signal)
    seen = base.largePuts
    try {
      await makeRecipes(state, signal)
    } catch (error) {
      signal.throwIfAborted()
      log.warn(`Cannot keep recipes of large files, their next edits may travel whole: ${String(error)}`, {
        folder: name,
      })
    }
  }
}

async function makeRecipes({ parts: { base, disk } }: FolderState, signal: AbortSignal): Promise<void> {
  base.pruneRecipes()
  for (let after: Digest | undefined; ;) {
    const sha256 = base.lackingRecipe(after)
    if (sha256 === undefined) return
    after = sha256
    const row = base.holding(sha256, 1)[0]
    if (row === undefined) continue
    const made = await disk.recipe({ path: row.path, print: row.print }, signal)
    if (made.kind === 'read') base.putRecipe(sha256, new Recipe(made.recipe))
  }
}
