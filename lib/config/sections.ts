// Groups the lines of systemsync.cfg by section: older section names, duplicates and unknown sections are dealt with here.

import type { Faults } from './faults.ts'
import type { IniLines, IniSetting } from './scan-ini.ts'
import type { Reader } from './values.ts'

/** The settings of one section by key, lower case. */
export type Section = ReadonlyMap<string, IniSetting>

/** Sections by name, lower case, always `systemsync.…`. */
export type Sections = ReadonlyMap<string, Section>

const KNOWN = ['server', 'clients', 'dirs', 'ssh', 'log', 'limits'].map((name) => `systemsync.${name}`)
const OLD = 'syncit.'
const NEW = 'systemsync.'
const FOLDER = `${NEW}dir.`

/** Groups `lines`. Of an older section that is there under its new name too, only the new one counts. */
export function groupSections(lines: IniLines, faults: Faults): { sections: Sections; warnings: string[] } {
  const warnings = warnOfOldNames(lines)
  const present = new Set(lines.sections.map(({ name }) => name.toLowerCase()))
  for (const { name, line } of lines.sections) {
    if (!isKnown(canonical(name))) faults.add(line, name, undefined, `unknown section: known are ${knownNames()}`)
  }
  const sections = new Map<string, Map<string, IniSetting>>()
  for (const setting of lines.settings) {
    const name = canonical(setting.section)
    if (isOld(setting.section) && present.has(name)) continue
    const section = sections.get(name) ?? new Map<string, IniSetting>()
    sections.set(name, section)
    const key = setting.key.toLowerCase()
    const first = section.get(key)
    if (first === undefined) section.set(key, setting)
    else faults.at(setting, `duplicate key: it is in line ${String(first.line)} already, keep one of them`)
  }
  return { sections, warnings }
}

/** The name of the section with the options of the folder `name`. */
export function folderSection(name: string): string {
  return FOLDER + name.toLowerCase()
}

/** Names of folders that have a section with options, lower case. */
export function foldersWithOptions(lines: IniLines): { folder: string; name: string; line: number }[] {
  return lines.sections
    .filter(({ name }) => canonical(name).startsWith(FOLDER))
    .map(({ name, line }) => ({ folder: canonical(name).slice(FOLDER.length), name, line }))
}

/** Notes keys of `section` that are not among `known`. */
export function refuseUnknown(section: Section, known: readonly string[], faults: Faults): void {
  for (const [key, setting] of section) {
    if (!known.includes(key)) faults.at(setting, `unknown key: known are ${known.join(', ')}`)
  }
}

/** Picks values from `section`; what is not there has its default. */
export function picker(section: Section, faults: Faults) {
  return <Value, Default>(key: string, reader: Reader<Value>, fallback: Default): Value | Default => {
    const setting = section.get(key)
    return setting === undefined ? fallback : faults.take(reader(setting.value), setting, fallback)
  }
}

function warnOfOldNames(lines: IniLines): string[] {
  const present = new Set(lines.sections.map(({ name }) => name.toLowerCase()))
  return lines.sections.flatMap(({ name, line }) => {
    if (!isOld(name)) return []
    const now = canonical(name)
    const where = `line ${String(line)}: [${name}]`
    return present.has(now)
      ? [`${where} is not read: [${now}] is there too`]
      : [`${where} is an older name: write [${now}]`]
  })
}

function canonical(section: string): string {
  const low = section.toLowerCase()
  return low.startsWith(OLD) ? NEW + low.slice(OLD.length) : low
}

function isOld(section: string): boolean {
  return section.toLowerCase().startsWith(OLD)
}

function isKnown(section: string): boolean {
  return KNOWN.includes(section) || (section.startsWith(FOLDER) && section.length > FOLDER.length)
}

function knownNames(): string {
  return [...KNOWN.slice(0, 3), 'systemsync.dir.<folder>', ...KNOWN.slice(3)].map((name) => `[${name}]`).join(' ')
}
