import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { PROBLEM_TYPE, problemText } from './problem.ts'

/**
 * Answers with a problem, then closes, where there is a socket and no response object: on an upgrade, and on a request
 * that could not be read.
 */
export function refuseSocket(socket: Duplex, status: number, detail: string): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const text = problemText(status, { detail })
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
  ]
  socket.once('finish', () => socket.destroy())
  socket.end(`${lines.join('\r\n')}\r\n\r\n${text}`)
}
