// Requests under way: keeps a transfer's pipe full, and no fuller than allowed.

/** Bounds what is under way by bytes and by number. For one producer. */
export class Flight {
  readonly #maxBytes: number
  readonly #maxCount: number
  #bytes = 0
  #count = 0
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void) | undefined

  constructor(limits: { readonly bytes: number; readonly count: number }) {
    this.#maxBytes = limits.bytes
    this.#maxCount = limits.count
  }

  /** Waits until `bytes` more may start (one request always may). Throws what the first failed request threw. */
  async room(bytes: number): Promise<void> {
    while (this.#failure === undefined && this.#count > 0 && !this.#fits(bytes)) await this.#change()
    this.#throwFailure()
  }

  /** Counts a request that has just started, until it settles. */
  add(bytes: number, request: Promise<unknown>): void {
    this.#bytes += bytes
    this.#count++
    const settle = () => {
      this.#bytes -= bytes
      this.#count--
      this.#wake?.()
    }
    request.then(settle, (error: unknown) => {
      this.#failure ??= { error }
      settle()
    })
  }

  /** Waits until nothing is under way, failed or not. */
  async settled(): Promise<void> {
    while (this.#count > 0) await this.#change()
  }

  /** Waits until all is answered. Throws what the first failed request threw, at once. */
  async landed(): Promise<void> {
    while (this.#failure === undefined && this.#count > 0) await this.#change()
    this.#throwFailure()
  }

  #fits(bytes: number): boolean {
    return this.#count < this.#maxCount && this.#bytes + bytes <= this.#maxBytes
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
  }
}

/** A file that is fetched in pieces of one size; the last may be shorter. `pace` waits until so many bytes more may pass. */
export interface Pieces {
  readonly from: number
  readonly size: number
  readonly pieceBytes: number
  readonly isStopped: () => boolean
  readonly pace?: (bytes: number) => Promise<void>
}

/** Has all pieces fetched, as many at once as there is room for. Nothing is under way any more once it settles; what fails first fails all. */
export async function fetchPieces(
  { flight, calls }: { readonly flight: Flight; readonly calls: { fail(error: unknown): void } },
  { from, size, pieceBytes, isStopped, pace }: Pieces,
  fetch: (offset: number, length: number) => Promise<void>,
): Promise<void> {
  try {
    for (let at = from; at < size && !isStopped(); at += pieceBytes) {
      const length = Math.min(pieceBytes, size - at)
      await pace?.(length)
      await flight.room(length)
      flight.add(length, fetch(at, length))
    }
    await flight.landed()
  } catch (error) {
    calls.fail(error)
    throw error
  } finally {
    await flight.settled()
  }
}

/** How far a file is whole from its start, while parts of it become so out of order. */
export class WholeMark {
  readonly #later = new Map<number, number>()
  #end: number

  constructor(start: number) {
    this.#end = start
  }

  /** All bytes before this offset are there. */
  get end(): number {
    return this.#end
  }

  /** Notes that `length` bytes from `offset` on are there. */
  add(offset: number, length: number): void {
    this.#later.set(offset, length)
    for (;;) {
      const next = this.#later.get(this.#end)
      if (next === undefined) return
      this.#later.delete(this.#end)
      this.#end += next
    }
  }
}

/** Buffers of one size that are used again. */
export class BufferPool {
  readonly #size: number
  readonly #free: Buffer[] = []

  constructor(size: number) {
    this.#size = size
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size)
  }

  give(buffer: Buffer): void {
    this.#free.push(buffer)
  }
}
