import type { Socket } from 'node:net'

/**
 * Cuts clients that do not read: a connection on which something waits to be sent, and of which no write has ended for
 * `patience` milliseconds, is destroyed (within a quarter more). Such a client would hold its answer, and with it a
 * connection to the upstream, for ever: back-pressure has stopped every other timer. One coarse sweep sees to all
 * connections, so that none of them costs a timer. Returns what ends it.
 */
export function cutStalledReaders(connections: ReadonlySet<Socket>, patience: number): () => void {
  const sent = new WeakMap<Socket, { bytes: number; sweeps: number }>()

  function look(socket: Socket): void {
    const waiting = socket.writableLength
    if (waiting === 0) return void sent.delete(socket)
    const bytes = socket.bytesWritten - waiting
    const before = sent.get(socket)
    if (before === undefined || before.bytes !== bytes) return void sent.set(socket, { bytes, sweeps: 0 })
    before.sweeps++
    if (before.sweeps > SWEEPS) socket.destroy()
  }

  const sweep = setInterval(() => connections.forEach(look), Math.max(1, patience / SWEEPS))
  sweep.unref()
  return () => clearInterval(sweep)
}

const SWEEPS = 4
