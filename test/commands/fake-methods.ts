// A daemon's answers, as the contract shows them.

import type { ControlMethods, FolderStatus } from '../../lib/commands/control-contract.ts'
import { Refused } from '../../lib/errors.ts'

const time = '2026-11-20T10:11:12.131Z'

export function folderStatus(more: Partial<FolderStatus> = {}): FolderStatus {
  return {
    name: 'docs',
    path: '/home/a/docs',
    state: 'in step',
    seq: 7,
    pending: 0,
    bytesPending: 0,
    problems: [],
    ...more,
  }
}

export function fakeMethods(more: Partial<ControlMethods> = {}): ControlMethods {
  return {
    status: () => ({
      role: 'client',
      node: 'client1',
      version: '0.1.0',
      coordinator: { connected: true, address: '10.0.0.1:1397' },
      folders: [folderStatus()],
    }),
    log: ({ folder = 'docs', path = 'a.txt' }) => [
      {
        folder,
        seq: 1,
        time,
        peer: 'client1',
        what: 'create',
        path,
        kind: 'file',
        size: 1234,
        sha256: 'ab'.repeat(32),
      },
      { folder, seq: 2, time, peer: 'server', what: 'delete', path, kind: null, size: null, sha256: null },
    ],
    history: () => [
      { rev: 1, time, peer: 'client1', what: 'create', size: 5, sha256: 'ab'.repeat(32), live: false, loser: false },
      { rev: 2, time, peer: 'client2', what: 'update', size: 6, sha256: 'cd'.repeat(32), live: false, loser: true },
      { rev: 3, time, peer: 'client1', what: 'delete', size: null, sha256: null, live: true, loser: false },
    ],
    restore: ({ rev }) => ({ rev: (rev ?? 0) + 1 }),
    get: () => {
      throw new Refused('There is no such revision', { status: 404 })
    },
    conflicts: () => [
      { folder: 'docs', path: 'a.txt', time, winner: { peer: 'client1', rev: 5 }, loser: { peer: 'client2', rev: 4 } },
    ],
    confirm: ({ folder }) => {
      if (folder !== 'docs') throw new Refused(`There is no folder "${folder}"`, { status: 404 })
      return {}
    },
    reject: () => ({}),
    clients: () => [
      { name: 'client1', online: true, fingerprint: 'SHA256:abc', behind: 0, lastSeen: time },
      { name: 'client2', online: false, fingerprint: null, behind: null, lastSeen: null },
      { name: 'client3', online: false, fingerprint: null, behind: 3, lastSeen: time },
    ],
    ...more,
  }
}
