// Waits on a descriptor in the event loop: koffi's poll, or libuv's own called through koffi where koffi has none.

import koffi from 'koffi'

export interface FdPoll {
  /** Stops waiting. The descriptor may be closed right after. A second call does nothing. */
  close(): void
}

/**
 * Calls `onReadable` whenever `fd` can be read (level-triggered), and keeps the process alive until closed. Main thread only. The caller
 * vouches that `fd` is an open descriptor that epoll accepts: anything else aborts the process. Nothing thrown by `onReadable` reaches
 * koffi, where it would stay pending and come out of a later call: it is thrown on the next tick.
 */
export function pollReadable(
  fd: number,
  onReadable: () => void,
  byLibuv = typeof koffi.node.poll !== 'function',
): FdPoll {
  const guarded = (): void => {
    try {
      onReadable()
    } catch (error) {
      process.nextTick(() => {
        throw error
      })
    }
  }
  return byLibuv ? pollByLibuv(fd, guarded) : pollByKoffi(fd, guarded)
}

function pollByKoffi(fd: number, onReadable: () => void): FdPoll {
  const handle = koffi.node.poll(fd, { readable: true }, onReadable)
  let isOpen = true
  return {
    close() {
      if (!isOpen) return
      isOpen = false
      handle.stop()
      handle.close()
    },
  }
}

const UV_POLL = 8
const UV_READABLE = 1

/** libuv's `uv_poll_t` (docs.libuv.org/poll) on the default loop, which is the main thread's. */
function pollByLibuv(fd: number, onReadable: () => void): FdPoll {
  const node = koffi.load(null)
  const pollProto = koffi.proto('void', ['void *', 'int', 'int'])
  const closeProto = koffi.proto('void', ['void *'])
  const defaultLoop = node.func('uv_default_loop', 'void *', [])
  const handleSize = node.func('uv_handle_size', 'size_t', ['int'])
  const init = node.func('uv_poll_init', 'int', ['void *', 'void *', 'int'])
  const start = node.func('uv_poll_start', 'int', ['void *', 'int', koffi.pointer(pollProto)])
  const stop = node.func('uv_poll_stop', 'int', ['void *'])
  const close = node.func('uv_close', 'void', ['void *', koffi.pointer(closeProto)])

  const handle: unknown = koffi.alloc('uint8_t', Number(handleSize(UV_POLL)))
  const inited = Number(init(defaultLoop(), handle, fd))
  if (inited !== 0) {
    koffi.free(handle)
    throw new Error(`Cannot wait on a descriptor: libuv returned ${inited}`)
  }
  const readable = koffi.register(onReadable, koffi.pointer(pollProto))
  const closed = koffi.register(() => {
    // A callback cannot be unregistered while it runs.
    setImmediate(() => {
      koffi.unregister(readable)
      koffi.unregister(closed)
      koffi.free(handle)
    })
  }, koffi.pointer(closeProto))
  const started = Number(start(handle, UV_READABLE, readable))
  if (started !== 0) {
    close(handle, closed)
    throw new Error(`Cannot wait on a descriptor: libuv returned ${started}`)
  }
  let isOpen = true
  return {
    close() {
      if (!isOpen) return
      isOpen = false
      stop(handle)
      close(handle, closed)
    },
  }
}
