// The journal's tables.

import type { Schema } from './database.ts'

/**
 * `heads.prior_seq`: the revision that holds the content of a path whose directory was moved since (then `seq` is the move); 0 at a tombstone that
 * a move left, which has no revision of its own. `revisions.superseded_ms`: since when a revision is not current; NULL while it is. A live head
 * always has a current revision with its content, so the index of contents by revision is enough to know what is still wanted.
 */
export const JOURNAL_SCHEMA: Schema = {
  name: 'journal of a SystemSync folder',
  applicationId: 0x53794a6f, // SyJo
  steps: [
    `CREATE TABLE heads (parent TEXT NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL, prior_seq INTEGER,
       kind INTEGER, size INTEGER, mtime_ns BLOB, mode INTEGER, sha256 BLOB, target TEXT,
       time_ms REAL NOT NULL, peer TEXT NOT NULL, PRIMARY KEY (parent, name)) WITHOUT ROWID;
     CREATE INDEX heads_seq ON heads (seq);
     CREATE INDEX heads_tombstone ON heads (seq) WHERE kind IS NULL;
     CREATE TABLE revisions (seq INTEGER PRIMARY KEY, path TEXT NOT NULL, what INTEGER NOT NULL,
       kind INTEGER, size INTEGER, mtime_ns BLOB, mode INTEGER, sha256 BLOB, target TEXT,
       time_ms REAL NOT NULL, peer TEXT NOT NULL, loser INTEGER NOT NULL, from_path TEXT, superseded_ms REAL);
     CREATE INDEX revisions_path ON revisions (path);
     CREATE INDEX revisions_sha256 ON revisions (sha256) WHERE sha256 IS NOT NULL;
     CREATE INDEX revisions_superseded ON revisions (seq) WHERE superseded_ms IS NOT NULL;
     CREATE TABLE collisions (loser_seq INTEGER PRIMARY KEY, path TEXT NOT NULL, time_ms REAL NOT NULL,
       loser_peer TEXT NOT NULL, winner_seq INTEGER NOT NULL, winner_peer TEXT NOT NULL);
     CREATE TABLE contents (sha256 BLOB PRIMARY KEY, size INTEGER NOT NULL, pack TEXT NOT NULL, pack_offset INTEGER) WITHOUT ROWID;
     CREATE INDEX contents_pack ON contents (pack) WHERE pack_offset IS NOT NULL;
     CREATE TABLE packs (id TEXT PRIMARY KEY, bytes INTEGER NOT NULL, live_bytes INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE clients (name TEXT PRIMARY KEY, cursor INTEGER NOT NULL, last_seen_ms REAL NOT NULL) WITHOUT ROWID;
     CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;`,
    'CREATE TABLE patches (sha256 BLOB PRIMARY KEY, sources BLOB NOT NULL, ops TEXT NOT NULL) WITHOUT ROWID;',
    'CREATE INDEX revisions_from ON revisions (from_path) WHERE from_path IS NOT NULL;',
  ],
}
