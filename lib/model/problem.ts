// Problems: trouble at one path, as a value. The folder goes on.

/** Why a path is not in step and what the person can do. `path` is for display: bytes that are not UTF-8 appear as `\xNN`. */
export interface Problem {
  readonly path: string
  readonly reason: string
  readonly todo: string
}
