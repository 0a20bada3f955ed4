// Tells systemd how the service stands (sd_notify(3)): one datagram to the socket named by NOTIFY_SOCKET.

import { endianness } from 'node:os'

const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const MSG_NOSIGNAL = 0x4000
const MAX_SUN_PATH = 108

export type ServiceState = 'READY=1' | 'STOPPING=1' | `STATUS=${string}`

/** Sends `state` to `socket` (a path, or `@name` for an abstract socket). Whether it was sent; `false` when there is no socket to tell. */
export async function notifySystemd(state: ServiceState, socket = process.env['NOTIFY_SOCKET']): Promise<boolean> {
  if (socket === undefined || !/^[/@]./.test(socket)) return false
  const address = sockaddr(socket)
  if (address === undefined) return false
  const { default: koffi } = await import('koffi')
  const libc = koffi.load('libc.so.6')
  const open = libc.func('int socket(int domain, int type, int protocol)')
  const sendto = libc.func(
    'intptr_t sendto(int fd, const void *data, size_t size, int flags, const void *address, uint32_t length)',
  )
  const close = libc.func('int close(int fd)')
  const fd = open(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) as number
  if (fd < 0) return false
  const bytes = Buffer.from(state)
  const sent = sendto(fd, bytes, bytes.length, MSG_NOSIGNAL, address, address.length) as number
  close(fd)
  return sent === bytes.length
}

/** `struct sockaddr_un` of unix(7): family in host order, then the path; a leading NUL means abstract, and then the length ends the name. */
function sockaddr(socket: string): Buffer | undefined {
  const abstract = socket.startsWith('@')
  const path = Buffer.from(abstract ? `\0${socket.slice(1)}` : `${socket}\0`)
  if (path.length > MAX_SUN_PATH) return undefined
  const address = Buffer.alloc(2 + path.length)
  if (endianness() === 'LE') address.writeUInt16LE(AF_UNIX)
  else address.writeUInt16BE(AF_UNIX)
  path.copy(address, 2)
  return address
}
