// Peers: the authors of revisions.

/** The coordinator's own name as a peer; no client may carry it. */
export const SERVER = 'server'
