import type { Socket } from 'node:net'

type SystemError = Error & { readonly syscall?: string }

/**
 * Has a failed write leave the socket open for reading, and calls `onWriteError`, once: an upstream that has answered before it
 * read the whole request, and closed, resets the connection, but what it answered may wait here unread. By itself node destroys a
 * socket with its first failed write, unread bytes and all. Whoever listens destroys it in the end.
 */
export function readAfterWriteError(socket: Socket, onWriteError: (cause: Error) => void): void {
  const destroy = socket.destroy
  let hasFailed = false
  socket.destroy = (cause?: SystemError) => {
    const isWriteError = cause?.syscall === 'write' || cause?.syscall === 'writev'
    if (!isWriteError || hasFailed) return destroy.call(socket, cause)
    hasFailed = true
    onWriteError(cause)
    return socket
  }
}
