import type { ServerResponse } from 'node:http'

/** Something that is ready to be written to a socket. */
export type Pending = { write(): void }

let waiting: Pending[] = []

/**
 * Has something written when this turn of the event loop has read all that had come: each write to another socket wakes its
 * reader, and readers that are woken one after the other, with our own work in between, cost a third of a request more than
 * ones that find all there is at once. It is the same turn, so nobody waits for longer than the others' decisions take.
 */
export function writeThisTurn(pending: Pending): void {
  if (waiting.length === 0) setImmediate(writeAll)
  waiting.push(pending)
}

function writeAll(): void {
  const due = waiting
  waiting = []
  let written = 0
  try {
    while (written < due.length) due[written++]!.write()
  } finally {
    // Where one has thrown, the others still go out.
    for (const pending of due.slice(written)) writeThisTurn(pending)
  }
}

/**
 * Ends an answer whose head is not written yet with its whole body, of one byte a character, as one string in one write.
 * Node's own `end` writes an empty piece behind it, to know when all is gone, and two pieces go by the dearer way of `writev`.
 */
export function endInOneWrite(response: ServerResponse, text: string): void {
  const { socket } = response
  // To a response that waits for its turn, or whose body is written in chunks with more around them.
  if (socket === null || response.chunkedEncoding || socket.writableNeedDrain) return void response.end(text, 'latin1')
  socket.cork()
  response.write(text, 'latin1')
  socket.uncork()
  response.end()
}
