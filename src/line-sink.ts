import { fstatSync, writeSync } from 'node:fs'
import type { Writable } from 'node:stream'
import { isatty } from 'node:tty'

/** Where log lines go. */
export type LineSink = {
  /** Takes a line, or several whole ones, each with its line break. */
  write(line: string): void
  /** Hands over what has gathered since the last turn of the event loop. */
  flush(): void
  /** Resolves when all lines are taken, or after `patience`. */
  end(patience: number): Promise<void>
  /** Lines that were not taken, so far. */
  dropped(): number
}

/** What may wait (characters) for a reader that has stopped reading. */
const MAX_WAITING = 1024 * 1024

/**
 * Writes lines, all of one turn at once, to a stream that may block, be full or be gone: what it does not take is dropped
 * and counted. Nobody ever waits, least of all a signal.
 */
export function createLineSink(out: Writable & { readonly fd?: number }): LineSink {
  const file = out.fd !== undefined && isFile(out.fd) ? out.fd : null
  let lines: string[] = []
  let waiting = 0
  let isScheduled = false
  let isTorn = false
  let dropped = 0
  // A reader that has gone (EPIPE) is told by an event, which without a listener would end the process.
  out.on('error', () => {})

  function write(line: string): void {
    if (waiting + out.writableLength > MAX_WAITING) {
      dropped += linesIn(line)
      return
    }
    waiting += line.length
    lines.push(line)
    if (isScheduled) return
    isScheduled = true
    setImmediate(flush)
  }

  function flush(): void {
    isScheduled = false
    if (lines.length === 0) return
    const text = lines.join('')
    lines = []
    waiting = 0
    if (file !== null) return writeFile(file, text)
    out.write(text, (cause) => {
      if (cause) dropped += linesIn(text)
    })
  }

  /** Not through the stream: node's own for files does not survive a full disk in all versions. */
  function writeFile(fd: number, text: string): void {
    let rest = Buffer.from(isTorn ? `\n${text}` : text)
    try {
      while (rest.length > 0) {
        rest = rest.subarray(writeSync(fd, rest))
        isTorn = rest.length > 0
      }
    } catch {
      dropped += linesIn(rest.toString().trimStart())
    }
  }

  async function end(patience: number): Promise<void> {
    flush()
    for (const until = performance.now() + patience; out.writableLength > 0 && performance.now() < until; ) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  return { write, flush, end, dropped: () => dropped }
}

function linesIn(text: string): number {
  return text.split('\n').length - 1
}

/** A file, or a device such as /dev/null that is written like one; pipes, sockets and terminals are streams. */
function isFile(fd: number): boolean {
  const stat = fstatSync(fd)
  return stat.isFile() || (stat.isCharacterDevice() && !isatty(fd))
}
