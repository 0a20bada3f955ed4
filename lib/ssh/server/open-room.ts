// How much may be open: by one connection, and by all together.

/** Places for what is open, and costs a descriptor or memory until it is closed: so many, and no more than are left `above`. */
export class OpenRoom {
  readonly #most: number
  readonly #above: OpenRoom | undefined
  #taken = 0

  constructor(most: number, above?: OpenRoom) {
    this.#most = most
    this.#above = above
  }

  /** Takes a place; what is returned gives it back, once. `undefined`: there is none. */
  take(): (() => void) | undefined {
    if (this.#taken >= this.#most) return undefined
    const giveAbove = this.#above === undefined ? () => undefined : this.#above.take()
    if (giveAbove === undefined) return undefined
    this.#taken++
    let isTaken = true
    return () => {
      if (!isTaken) return
      isTaken = false
      this.#taken--
      giveAbove()
    }
  }
}
