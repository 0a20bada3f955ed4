// The limits of the embedded SSH server: what one peer, known or not, can take.

/** Limits of connections. Times in ms, sizes in bytes. */
export interface ServerLimits {
  readonly loginGraceMs: number
  readonly unauthenticatedPerAddress: number
  readonly unauthenticated: number
  readonly connections: number
  readonly authTries: number
  readonly judgeAgainMs: number
  readonly channels: number
  readonly emptySessions: number
  readonly keepaliveMs: number
  readonly keepaliveTries: number
  readonly rekeyMs: number
  readonly endGraceMs: number
  readonly unreadBytes: number
  readonly unsentBytes: number
  readonly stalledBytes: number
}

export const SERVER_LIMITS: ServerLimits = {
  /** A handshake and a login with an agent take well below a second; a person may have to touch a token. */
  loginGraceMs: 20_000,
  /** Several clients of one machine may start at once, two connections each. */
  unauthenticatedPerAddress: 10,
  /** Each costs a key exchange (3 ms of CPU): a hundred are 0.3 s of stall at most. */
  unauthenticated: 100,
  /** 128 clients with a control and a data connection each. */
  connections: 256,
  /** As sshd's MaxAuthTries. */
  authTries: 6,
  /** A key that is taken away ends its connections after so long: the file is only looked at, not read, unless it changed. */
  judgeAgainMs: 30_000,
  /** One for RPC, up to eight for SFTP on a long link, and some that are just closing. */
  channels: 16,
  /** Sessions closed before they asked for a subsystem; ssh2 keeps their slots until the connection ends. */
  emptySessions: 256,
  /** A peer that says nothing for 8 s is asked twice; 24 s after its last word it is cut off. */
  keepaliveMs: 8000,
  keepaliveTries: 2,
  /** ssh2 never renews keys by itself, and chacha20-poly1305 counts packets with 32 bits. */
  rekeyMs: 3_600_000,
  /** ssh2 only half-closes; a peer that does not close its half in turn is cut off. */
  endGraceMs: 5000,
  /** An honest peer has at most 4 MiB unread in a channel (its window, refilled once); ssh2 does not enforce the window. */
  unreadBytes: 6 * 1024 * 1024,
  /** Channels wait while the socket holds this much: a peer that grants a huge window and stops reading costs no more. */
  unsentBytes: 2 * 1024 * 1024,
  /** Beyond this nothing more is read from the peer: it asks for replies without reading them. */
  stalledBytes: 16 * 1024 * 1024,
}

/** Limits of one SFTP channel. Sizes in bytes. */
export interface SftpLimits {
  readonly packetBytes: number
  readonly dataBytes: number
  readonly handles: number
  readonly requests: number
  readonly requestBytes: number
  readonly replyBytes: number
}

export const SFTP_LIMITS: SftpLimits = {
  /** The largest request taken; `limits@openssh.com` announces 1 KiB less, as OpenSSH does. */
  packetBytes: 257 * 1024,
  /** The most bytes in one READ or WRITE; OpenSSH's own number. */
  dataBytes: 255 * 1024,
  /** A client of ours has a dozen on all its channels together. */
  handles: 128,
  /** Requests waiting or under way before the channel is paused; it goes on at half. */
  requests: 64,
  requestBytes: 8 * 1024 * 1024,
  /** Replies that the peer has not taken yet before another READ is begun. */
  replyBytes: 8 * 1024 * 1024,
}
