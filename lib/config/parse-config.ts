// Turns the text of systemsync.cfg into a `Config`, or says everything that is wrong with it.

import { readFileSync } from 'node:fs'
import type { ClientMachine, Config, Limits, Machine, SshConfig } from './config.ts'
import { Faults } from './faults.ts'
import { parseFolders } from './parse-folders.ts'
import { scanIni, type IniSetting } from './scan-ini.ts'
import { groupSections, picker, refuseUnknown, type Section, type Sections } from './sections.ts'
import { oneOf, readAddress, readName, readPath, readPort, readSize, readUser, type Reader } from './values.ts'
import { ConfigError } from '../errors.ts'

const LARGEST_FILE = 1024 * 1024

/** Reads and checks the file. Throws `ConfigError` naming file, line, section, key and what would be right. */
export function loadConfig(file: string): Config {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (cause as Error).message
    throw new ConfigError(`Cannot read the configuration "${file}": ${why}`, {
      cause,
      hint: 'Name the file with -config FILE; systemsync.cfg.example shows what it holds',
    })
  }
  if (text.length > LARGEST_FILE)
    throw new ConfigError(`Cannot read the configuration "${file}": it is larger than 1 MiB`)
  return parseConfig(text, file)
}

/** Checks `text`; `file` is for messages only. */
export function parseConfig(text: string, file: string): Config {
  const faults = new Faults(file)
  const lines = scanIni(text)
  for (const fault of lines.faults) faults.add(fault.line, fault.section, fault.key, fault.what)
  const { sections, warnings } = groupSections(lines, faults)
  const server = parseServer(sections, faults)
  const clients = parseClients(sectionOf(sections, 'clients'), faults)
  const folders = parseFolders({ lines, sections, clients: clients.map(({ name }) => name) }, faults)
  const ssh = parseSsh(sectionOf(sections, 'ssh'), faults)
  const log = parseLog(sectionOf(sections, 'log'), faults)
  const limits = parseLimits(sectionOf(sections, 'limits'), faults)
  faults.throwIfAny()
  warnings.push(...warnOfMachines([server, ...clients]))
  if (limits.upload > 0 || limits.download > 0)
    warnings.push('[systemsync.limits] upload, download: not built yet, nothing is limited')
  return { file, server, clients, folders, ssh, log, limits, warnings }
}

function sectionOf(sections: Sections, name: string): Section {
  return sections.get(`systemsync.${name}`) ?? new Map<string, IniSetting>()
}

function parseServer(sections: Sections, faults: Faults): Machine {
  const section = sectionOf(sections, 'server')
  refuseUnknown(section, ['server'], faults)
  const setting = section.get('server')
  const nowhere: Machine = { user: '', ip: '', port: 0, line: 0 }
  if (setting !== undefined) return parseMachine(setting, faults) ?? nowhere
  faults.add(0, 'systemsync.server', 'server', 'it is missing: add "server = user, ip, port"')
  return nowhere
}

function parseClients(section: Section, faults: Faults): ClientMachine[] {
  const clients: ClientMachine[] = []
  for (const setting of section.values()) {
    const name = faults.take(readName(setting.key), setting, undefined, setting.key)
    if (name?.toLowerCase() === 'server') {
      faults.at(setting, '"server" is the name of the coordinator: give the client another name')
      continue
    }
    const machine = parseMachine(setting, faults)
    if (name === undefined || machine === undefined) continue
    const twin = clients.find((other) => sameMachine(other, machine) && other.user === machine.user)
    if (twin === undefined) clients.push({ name, ...machine })
    else
      faults.at(
        setting,
        `it has the user, ip and port of "${twin.name}" in line ${String(twin.line)}: give it another port`,
      )
  }
  return clients
}

/** `user, ip, port`. */
function parseMachine(setting: IniSetting, faults: Faults): Machine | undefined {
  const parts = setting.value.split(',').map((part) => part.trim())
  const [user, ip, port] = parts
  if (parts.length !== 3 || user === undefined || ip === undefined || port === undefined) {
    faults.at(setting, `"${setting.value}" has ${String(parts.length)} fields: give "user, ip, port"`)
    return undefined
  }
  const read = {
    user: faults.take(readUser(user), setting, undefined, user),
    ip: faults.take(readAddress(ip), setting, undefined, ip),
    port: faults.take(readPort(port), setting, undefined, port),
  }
  if (read.user === undefined || read.ip === undefined || read.port === undefined) return undefined
  return { user: read.user, ip: read.ip, port: read.port, line: setting.line }
}

function parseSsh(section: Section, faults: Faults): SshConfig {
  const keys = [
    'transport',
    'ssh-port',
    'identity',
    'known-hosts',
    'rpc-socket',
    'authorized-keys',
    'host-key-checking',
  ]
  refuseUnknown(section, keys, faults)
  const pick = picker(section, faults)
  return {
    transport: pick('transport', oneOf('embedded', 'openssh'), 'embedded'),
    sshPort: pick('ssh-port', readPort, 22),
    identity: pick('identity', orEmpty(readPath), undefined),
    knownHosts: pick('known-hosts', readPath, '~/.ssh/known_hosts'),
    rpcSocket: pick('rpc-socket', orEmpty(readPath), undefined),
    authorizedKeys: pick('authorized-keys', readPath, '~/.ssh/authorized_keys'),
    hostKeyChecking: pick('host-key-checking', oneOf('yes', 'accept-new'), 'accept-new'),
  }
}

function parseLog(section: Section, faults: Faults): Config['log'] {
  refuseUnknown(section, ['level', 'messages'], faults)
  const pick = picker(section, faults)
  return {
    level: pick('level', oneOf('error', 'warn', 'info', 'debug'), 'info'),
    messages: pick('messages', readLogName, 'messages.log'),
  }
}

/** The one path that may be relative: it then lies in the state directory. */
function readLogName(text: string): ReturnType<Reader<string>> {
  return text === '' || text.includes('\0') || text.endsWith('/') || text.split('/').includes('..')
    ? { wanted: 'the name of a file in the state directory, or an absolute path' }
    : { value: text }
}

function parseLimits(section: Section, faults: Faults): Limits {
  refuseUnknown(section, ['upload', 'download'], faults)
  const pick = picker(section, faults)
  return { upload: pick('upload', readSize, 0), download: pick('download', readSize, 0) }
}

function warnOfMachines(machines: readonly (Machine | ClientMachine)[]): string[] {
  return machines.flatMap((machine, index) => {
    const earlier = machines.slice(0, index)
    const lineOf = `line ${String(machine.line)}`
    const cased = earlier.find(({ user }) => user !== machine.user && user.toLowerCase() === machine.user.toLowerCase())
    const twin = earlier.find((other) => 'name' in other && 'name' in machine && sameMachine(other, machine))
    return [
      ...(cased
        ? [`${lineOf}: users "${cased.user}" and "${machine.user}" differ only in case: they are two users`]
        : []),
      ...(twin
        ? [`${lineOf}: ip and port are those of the client in line ${String(twin.line)}: -uname tells them apart`]
        : []),
    ]
  })
}

function sameMachine(a: Machine, b: Machine): boolean {
  return a.ip === b.ip && a.port === b.port
}

function orEmpty<Value>(reader: Reader<Value>): Reader<Value | undefined> {
  return (text) => (text === '' ? { value: undefined } : reader(text))
}
