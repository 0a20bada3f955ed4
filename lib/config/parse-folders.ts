// The folders of systemsync.cfg: `[systemsync.dirs]` names them, `[systemsync.dir.<folder>]` holds the options of one.

import type { FolderConfig } from './config.ts'
import type { Faults } from './faults.ts'
import type { IniLines, IniSetting } from './scan-ini.ts'
import { folderSection, foldersWithOptions, picker, refuseUnknown, type Section, type Sections } from './sections.ts'
import {
  oneOf,
  readDuration,
  readList,
  readMaxDelete,
  readName,
  readPath,
  readVersions,
  type Reader,
} from './values.ts'

const KEYS = ['mode', 'receive-only', 'clients', 'ignore', 'versions', 'max-delete', 'settle', 'rescan', 'conflict']
const PATH_KEY = 'path.'
const SHORTEST_RESCAN_MS = 1000

interface Source {
  readonly lines: IniLines
  readonly sections: Sections
  /** Names of all clients. */
  readonly clients: readonly string[]
}

/** Reads every folder; notes options of folders that are not there. */
export function parseFolders({ lines, sections, clients }: Source, faults: Faults): FolderConfig[] {
  const dirs: Section = sections.get('systemsync.dirs') ?? new Map<string, IniSetting>()
  if (dirs.size === 0) faults.add(0, 'systemsync.dirs', undefined, 'no folder is named: add "name = path"')
  for (const { folder, name, line } of foldersWithOptions(lines)) {
    if (!dirs.has(folder)) faults.add(line, name, undefined, `unknown folder "${folder}": add it to [systemsync.dirs]`)
  }
  return [...dirs.values()].flatMap((setting) => {
    const name = faults.take(readName(setting.key), setting, undefined, setting.key)
    const path = faults.take(readPath(setting.value), setting, undefined)
    const options = sections.get(folderSection(setting.key)) ?? new Map<string, IniSetting>()
    const rest = parseOptions(options, clients, faults)
    return name === undefined || path === undefined ? [] : [{ name, path, line: setting.line, ...rest }]
  })
}

function parseOptions(
  section: Section,
  all: readonly string[],
  faults: Faults,
): Omit<FolderConfig, 'name' | 'path' | 'line'> {
  const plain = new Map([...section].filter(([key]) => !key.startsWith(PATH_KEY)))
  refuseUnknown(plain, [...KEYS, 'path.<node>'], faults)
  const pick = picker(plain, faults)
  const clients = pick('clients', namesOf(all, 'at least one client'), all)
  return {
    paths: parsePaths(section, all, faults),
    mode: pick('mode', oneOf('two-way', 'mirror', 'append-only'), 'two-way'),
    clients,
    receiveOnly: pick('receive-only', namesOf(clients), []),
    ignore: pick('ignore', readList, []),
    versions: pick('versions', readVersions, { kind: 'days', days: 30 }),
    maxDelete: pick('max-delete', readMaxDelete, { kind: 'share', share: 0.5 }),
    settleMs: pick('settle', readDuration, 50),
    rescanMs: pick('rescan', readRescan, 3_600_000),
    conflict: pick('conflict', oneOf('latest', 'keep-both'), 'latest'),
  }
}

/** `path.<node>`: where the folder lives on one node. */
function parsePaths(section: Section, all: readonly string[], faults: Faults): FolderConfig['paths'] {
  const paths = new Map<string, { path: string; line: number }>()
  for (const [key, setting] of section) {
    if (!key.startsWith(PATH_KEY)) continue
    const wanted = key.slice(PATH_KEY.length)
    const node = ['server', ...all].find((name) => name.toLowerCase() === wanted)
    if (node === undefined) faults.at(setting, `no node is called "${wanted}": give ${['server', ...all].join(', ')}`)
    const path = faults.take(readPath(setting.value), setting, undefined)
    if (node !== undefined && path !== undefined) paths.set(node, { path, line: setting.line })
  }
  return paths
}

/** A list of names out of `known`, spelled as there. `least`: what an empty list lacks, when it may not be empty. */
function namesOf(known: readonly string[], least?: string): Reader<readonly string[]> {
  return (text) => {
    const list = readList(text)
    if (!('value' in list)) return list
    if (list.value.length === 0 && least !== undefined) return { wanted: least }
    const names = list.value.map((name) => known.find((one) => one.toLowerCase() === name.toLowerCase()))
    const found = names.filter((name) => name !== undefined)
    if (found.length < names.length)
      return { wanted: `clients out of ${known.length === 0 ? '(there are none)' : known.join(', ')}` }
    return { value: [...new Set(found)] }
  }
}

function readRescan(text: string): ReturnType<Reader<number>> {
  const read = readDuration(text)
  return 'value' in read && read.value < SHORTEST_RESCAN_MS ? { wanted: 'at least 1s' } : read
}
