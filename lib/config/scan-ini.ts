// Reads the lines of an INI file: sections, keys and values, each with its line.
//
//   file    = *( [ section / setting ] [ comment ] newline )
//   section = "[" name "]"
//   setting = key ( "=" / ":" ) value          whichever comes first
//   comment = ( ";" / "#" ) *any               also after a value; in a value write "\;" or "\#", or quote the value
//
// The package `ini` reads values (quotes and escapes) but not lines: it forgets where a key stood, lets the later of two equal keys win in
// silence, knows no `key: value`, and nests sections at each dot.

import { unsafe } from 'ini'

/** One `key = value`. `section` and `key` as spelled; names are compared without regard to case. */
export interface IniSetting {
  readonly section: string
  readonly key: string
  readonly value: string
  readonly line: number
}

export interface IniSection {
  readonly name: string
  readonly line: number
}

export interface IniFault {
  readonly line: number
  readonly section: string | undefined
  readonly key?: string
  readonly what: string
}

export interface IniLines {
  readonly sections: readonly IniSection[]
  readonly settings: readonly IniSetting[]
  readonly faults: readonly IniFault[]
}

const COMMENT_AFTER = /^\s*(?:[;#].*)?$/
const SECTION = /^\[([^\]]*)\](.*)$/

/** Reads `text` line by line. Duplicates are left to the caller, who knows what names mean. */
export function scanIni(text: string): IniLines {
  const sections: IniSection[] = []
  const settings: IniSetting[] = []
  const faults: IniFault[] = []
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/)
  let section: string | undefined
  for (const [index, raw] of lines.entries()) {
    const line = index + 1
    const content = raw.trim()
    if (content === '' || content.startsWith(';') || content.startsWith('#')) continue
    if (content.startsWith('[')) {
      const name = sectionName(content)
      if (name === undefined) faults.push({ line, section, what: `"${content}" is not a section: write "[name]"` })
      else sections.push({ name, line })
      section = name ?? section
      continue
    }
    const setting = splitSetting(content)
    if (setting === undefined)
      faults.push({ line, section, what: `"${content}" is not a setting: write "key = value"` })
    else if (section === undefined) {
      faults.push({
        line,
        section,
        key: setting.key,
        what: 'it stands before the first section: write "[section]" above it',
      })
    } else settings.push({ section, ...setting, line })
  }
  return { sections, settings, faults }
}

function sectionName(content: string): string | undefined {
  const [, name, rest] = SECTION.exec(content) ?? []
  if (name === undefined || name.trim() === '' || !COMMENT_AFTER.test(rest ?? '')) return undefined
  return name.trim()
}

function splitSetting(content: string): { key: string; value: string } | undefined {
  const at = content.search(/[=:]/)
  if (at <= 0) return undefined
  const key = content.slice(0, at).trim()
  if (/[;#]/.test(key)) return undefined
  return { key, value: readValue(content.slice(at + 1).trim()) }
}

/** `ini` reads a quoted value only when nothing follows the quote, so a comment after it goes first. */
function readValue(text: string): string {
  const [quoted] = /^"(?:[^"\\]|\\.)*"|^'[^']*'/.exec(text) ?? []
  const isQuoted = quoted !== undefined && COMMENT_AFTER.test(text.slice(quoted.length))
  // `unsafe` makes a number of '12', whatever its type says.
  const value: unknown = unsafe(isQuoted ? quoted : text)
  return isQuoted ? String(value) : String(value).trim()
}
