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
