// What the person's ssh configuration says of a host: asks ssh itself, or reads ~/.ssh/config where ssh is not installed.

import { execFile } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { homedir, userInfo } from 'node:os'
import SSHConfig from 'ssh-config'
import { ConfigError } from '../../errors.ts'

/** Who is asked about. A port or user given here wins over the configured one. `home` is the home of the user this node runs for, absolute. */
export interface HostQuery {
  readonly address: string
  readonly port: number | undefined
  readonly user: string | undefined
  readonly home: string
  /** `false`: do not run ssh (for tests). */
  readonly useSsh?: boolean
}

/** Facts about a host. Paths are absolute. */
export interface HostConfig {
  readonly hostName: string
  readonly port: number
  readonly user: string
  /** Keys named for this host; none = the usual ones. */
  readonly identityFiles: readonly string[]
  readonly identitiesOnly: boolean
  /** Socket of the agent: `undefined` = the one of `SSH_AUTH_SOCK`, `none` = no agent. */
  readonly identityAgent: string | undefined
  readonly proxyJump: readonly JumpHost[]
  /** Files named for this host; none = the usual ones. */
  readonly knownHostsFiles: readonly string[]
}

/** One machine on the way. What is not said comes from the configuration of that machine. */
export interface JumpHost {
  readonly address: string
  readonly port: number | undefined
  readonly user: string | undefined
}

/** Looks `address` up as a host (or alias) of the ssh configuration. Throws `ConfigError` when the configuration is wrong. */
export async function readSshConfig(query: HostQuery, signal: AbortSignal): Promise<HostConfig> {
  const options = query.useSsh === false ? undefined : await askSsh(query, signal)
  return toHostConfig(options ?? (await computeOptions(query)), query)
}

/** Reads `[user@]host[:port]`, several with commas, nearest first; `none` = no jump. */
export function parseProxyJump(text: string): JumpHost[] {
  if (text === '' || text.toLowerCase() === 'none') return []
  return text.split(',').map((hop) => {
    const parts =
      /^(?:ssh:\/\/)?(?:(?<user>[^@]*)@)?(?:\[(?<bracketed>[^\]]+)\]|(?<plain>[^:]+))(?::(?<port>\d+))?\/?$/.exec(
        hop.trim(),
      )?.groups
    const address = parts?.['bracketed'] ?? parts?.['plain']
    if (address === undefined) throw new ConfigError(`Cannot read ProxyJump "${text}": "${hop}" is not user@host:port`)
    const port = parts?.['port']
    return { address, port: port === undefined ? undefined : Number(port), user: parts?.['user'] }
  })
}

type Options = ReadonlyMap<string, readonly string[]>

const ASK_TIMEOUT_MS = 5000

/** Runs `ssh -G`; `undefined` when there is no ssh. */
async function askSsh({ address, port, user, home }: HostQuery, signal: AbortSignal): Promise<Options | undefined> {
  // ssh takes its home from the passwd database, whatever $HOME says.
  const args = home === passwdHome() ? [] : ['-F', await existingOr(`${home}/.ssh/config`, 'none')]
  args.push('-G')
  if (port !== undefined) args.push('-p', String(port))
  if (user !== undefined) args.push('-l', user)
  args.push('--', address)
  return await new Promise((resolve, reject) => {
    execFile(
      'ssh',
      args,
      { signal, timeout: ASK_TIMEOUT_MS, env: { ...process.env, LC_ALL: 'C' } },
      (error, out, complaint) => {
        if (error === null) resolve(parseOptions(out))
        else if (error.code === 'ENOENT') resolve(undefined)
        else if (signal.aborted) reject(signal.reason as Error)
        else {
          const reason = complaint.trim().split('\n').at(-1) ?? ''
          reject(
            new ConfigError(
              `Cannot read the ssh configuration for "${address}": ${reason === '' ? error.message : reason}`,
              { cause: error },
            ),
          )
        }
      },
    ).stdin?.end()
  })
}

function parseOptions(text: string): Options {
  const options = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const space = line.indexOf(' ')
    if (space < 0) continue
    const name = line.slice(0, space)
    options.set(name, [...(options.get(name) ?? []), line.slice(space + 1)])
  }
  return options
}

async function computeOptions({ address, user, home }: HostQuery): Promise<Options> {
  const file = `${home}/.ssh/config`
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return new Map()
    throw new ConfigError(`Cannot read "${file}": ${messageOf(error)}`, { cause: error })
  }
  try {
    const found = Object.entries(
      SSHConfig.parse(text).compute(user === undefined ? { Host: address } : { Host: address, User: user }, {
        ignoreCase: true,
      }),
    )
    return new Map(found.map(([name, value]) => [name.toLowerCase(), joinWords(name, value)]))
  } catch (error) {
    throw new ConfigError(`Cannot read "${file}": ${messageOf(error)}`, { cause: error })
  }
}

/** IdentityFile may stand several times; the words of any other option belong to one value. */
function joinWords(name: string, value: string | string[]): string[] {
  if (typeof value === 'string') return [value]
  return name.toLowerCase() === 'identityfile' ? value : [value.join(' ')]
}

const DEFAULT_IDENTITY = /^~\/\.ssh\/id_(?:rsa|dsa|ecdsa|ecdsa_sk|ed25519|ed25519_sk|xmss)$/
const DEFAULT_KNOWN_HOSTS = /\/\.ssh\/known_hosts2?$/

function toHostConfig(options: Options, query: HostQuery): HostConfig {
  const first = (name: string) => options.get(name)?.[0]
  const hostName = (first('hostname') ?? query.address).replaceAll('%h', query.address).replaceAll('%%', '%')
  const port = query.port ?? Number(first('port') ?? 22)
  const user = query.user ?? first('user') ?? userInfo().username
  const tokens = {
    '%%': '%',
    '%d': query.home,
    '%h': hostName,
    '%n': query.address,
    '%p': String(port),
    '%r': user,
    '%u': userInfo().username,
  }
  const expand = (path: string) => expandPath(rehome(unquote(path), query.home), query.home, tokens)
  const identities = options.get('identityfile') ?? []
  // ssh -G lists every usual name when none is configured.
  const isUsual = identities.length > 1 && identities.every((path) => DEFAULT_IDENTITY.test(path))
  const knownHosts = (first('userknownhostsfile') ?? '').split(/\s+(?=["/~%])/).filter((path) => path !== '')
  const agent = first('identityagent')
  return {
    hostName,
    port,
    user,
    identityFiles: isUsual ? [] : identities.filter((path) => path !== 'none').map(expand),
    identitiesOnly: first('identitiesonly')?.toLowerCase() === 'yes',
    identityAgent:
      agent === undefined || agent === 'SSH_AUTH_SOCK'
        ? undefined
        : agent === 'none'
          ? 'none'
          : expandAgent(agent, expand),
    proxyJump: parseProxyJump(first('proxyjump') ?? ''),
    knownHostsFiles: knownHosts.every((path) => DEFAULT_KNOWN_HOSTS.test(path)) ? [] : knownHosts.map(expand),
  }
}

function expandAgent(agent: string, expand: (path: string) => string): string {
  return agent.startsWith('$') ? (process.env[agent.slice(1).replace(/^\{(.*)\}$/, '$1')] ?? 'none') : expand(agent)
}

/** Replaces the tokens of ssh_config(5) that file names may hold, and `~`. */
function expandPath(path: string, home: string, tokens: Readonly<Record<string, string>>): string {
  const expanded = path.replaceAll(/%./g, (token) => tokens[token] ?? token)
  if (expanded === '~' || expanded.startsWith('~/')) return home + expanded.slice(1)
  return expanded.startsWith('/') ? expanded : `${home}/${expanded}`
}

/** ssh expands some of the `~` itself, to the home of the passwd database. */
function rehome(path: string, home: string): string {
  const other = passwdHome()
  return other !== home && path.startsWith(`${other}/`) && !path.startsWith(`${home}/`)
    ? home + path.slice(other.length)
    : path
}

function unquote(text: string): string {
  return /^".*"$/.test(text) ? text.slice(1, -1) : text
}

async function existingOr(file: string, otherwise: string): Promise<string> {
  return await access(file).then(
    () => file,
    () => otherwise,
  )
}

function passwdHome(): string {
  try {
    return userInfo().homedir
  } catch {
    // No passwd entry for this uid: ssh would not work here either; the given home decides.
    return homedir()
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
