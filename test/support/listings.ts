// The JSON of the sub-commands, as the journeys read it.

export interface Logged {
  readonly folder: string
  readonly seq: number
  readonly time: string
  readonly peer: string
  readonly what: 'create' | 'update' | 'delete' | 'move'
  readonly path: string
  readonly kind: string | null
  readonly size: number | null
  readonly sha256: string | null
}

export interface Version {
  readonly rev: number
  readonly time: string
  readonly peer: string
  readonly what: string
  readonly size: number | null
  readonly sha256: string | null
  readonly live: boolean
  readonly loser: boolean
}

export interface Conflict {
  readonly folder: string
  readonly path: string
  readonly time: string
  readonly winner: { readonly peer: string; readonly rev: number }
  readonly loser: { readonly peer: string; readonly rev: number }
}

export interface Known {
  readonly name: string
  readonly online: boolean
  readonly fingerprint: string | null
  readonly behind: number
  readonly lastSeen: string | null
}
