// A machine whose clock is ahead, or behind: its clock says so, and so do the change times on its disk.
import { systemClock, type Clock } from '../../lib/daemon/clock.ts'
import type { Fingerprint } from '../../lib/model/entry.ts'
import type { WriteResult, WriteStep } from '../../lib/model/write-step.ts'
import { DiskLanes } from '../../lib/replica/disk-lanes.ts'
import type { Disk } from '../../lib/replica/ports.ts'

/** The clock of this machine, ahead by so many milliseconds. */
export function shiftedClock(aheadMs: number): Clock {
  return { ...systemClock, now: () => systemClock.now() + aheadMs }
}

/** Hands on disks whose change times are ahead. */
export class ShiftedLanes extends DiskLanes {
  readonly #aheadNs: bigint

  constructor(aheadMs: number) {
    super()
    this.#aheadNs = BigInt(aheadMs) * 1_000_000n
  }

  override disk(at: Parameters<DiskLanes['disk']>[0]): Disk {
    const disk = super.disk(at)
    const shown = (print: Fingerprint): Fingerprint => moved(print, this.#aheadNs)
    const real = (print: Fingerprint): Fingerprint => moved(print, -this.#aheadNs)
    const realFile = <T extends { readonly print: Fingerprint }>(file: T): T => ({ ...file, print: real(file.print) })
    return {
      ...disk,
      scan: (job, onPart, signal) =>
        disk.scan(
          job,
          (part) => {
            const changes = part.changes.map((change) =>
              change.kind === 'put' ? { ...change, print: shown(change.print) } : change,
            )
            return onPart({ ...part, changes })
          },
          signal,
        ),
      look: async (paths, signal) =>
        (await disk.look(paths, signal)).map((look) =>
          look.state === 'seen' ? { ...look, seen: { ...look.seen, print: shown(look.seen.print) } } : look,
        ),
      read: (files, signal) => disk.read(files.map(realFile), signal),
      hash: (file, signal) => disk.hash(realFile(file), signal),
      recipe: (file, signal) => disk.recipe(realFile(file), signal),
      extract: (file, to, signal) => disk.extract(realFile(file), to, signal),
      assemble: (assembly, signal) => disk.assemble({ ...assembly, sources: assembly.sources.map(realFile) }, signal),
      apply: async (steps, signal) =>
        (
          await disk.apply(
            steps.map((step) => realStep(step, real)),
            signal,
          )
        ).map((result): WriteResult =>
          result.kind === 'done' && result.print !== undefined ? { ...result, print: shown(result.print) } : result,
        ),
    }
  }
}

function moved(print: Fingerprint, byNs: bigint): Fingerprint {
  return { ...print, ctimeNs: String(BigInt(print.ctimeNs) + byNs) }
}

function realStep(step: WriteStep, real: (print: Fingerprint) => Fingerprint): WriteStep {
  switch (step.do) {
    case 'move':
      return { ...step, expectFrom: real(step.expectFrom) }
    case 'set-meta':
    case 'remove':
      return { ...step, expect: real(step.expect) }
    case 'place-file': {
      const { body } = step
      const copied = body.kind === 'copy' ? { ...body, expectFrom: real(body.expectFrom) } : body
      return { ...step, body: copied, expect: step.expect === undefined ? undefined : real(step.expect) }
    }
    case 'make-dir':
    case 'make-link':
      return { ...step, expect: step.expect === undefined ? undefined : real(step.expect) }
  }
}
