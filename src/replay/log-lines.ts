import { createReadStream, ReadStream, statSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { SluiceError } from '../errors.ts'

/** Lines of a chunk, the bytes of the file that were read by then, and lines that were too long to be kept. */
export type Chunk = { readonly lines: readonly string[]; readonly bytes: number }

/** Longer lines are no access lines: with all its fields a request is bounded by a proxy's own limits. */
export const MAX_LINE = 256 * 1024
/** Stands for a line that is too long: it is unreadable, and what it said is not kept. */
export const TOO_LONG = '\0too long'
const CHUNK = 256 * 1024

/**
 * Reads a log's lines as latin1, a chunk at a time: a plain file, a gzipped one by its name, or `input` where the name is `-`. However
 * long a line is, no more than `MAX_LINE` of it is kept.
 * @throws SluiceError `log_unreadable` where the file cannot be opened, read or unpacked.
 */
export async function* logLines(file: string, input: Readable): AsyncGenerator<Chunk> {
  const raw = file === '-' ? input : createReadStream(file, { highWaterMark: CHUNK })
  const bytesRead = () => (raw instanceof ReadStream ? raw.bytesRead : 0)
  let carry = ''
  let isCutting = false
  try {
    for await (const chunk of file.endsWith('.gz') ? unzip(raw) : raw) {
      const text = (chunk as Buffer).toString('latin1')
      const lines = text.split('\n')
      lines[0] = carry + lines[0]
      carry = lines.pop()!
      for (let i = 0; i < lines.length; i++) if (lines[i]!.length > MAX_LINE) lines[i] = TOO_LONG
      if (isCutting && lines.length > 0) {
        lines[0] = TOO_LONG
        isCutting = false
      }
      if (isCutting || carry.length > MAX_LINE) {
        isCutting = true
        carry = ''
      }
      yield { lines, bytes: bytesRead() }
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new SluiceError('log_unreadable', `${file}: cannot be read (${why}); write the name of an access log`, {
      cause,
    })
  }
  if (isCutting) yield { lines: [TOO_LONG], bytes: bytesRead() }
  else if (carry !== '') yield { lines: [carry], bytes: bytesRead() }
}

function unzip(raw: Readable): Readable {
  const gunzip = createGunzip({ chunkSize: CHUNK })
  raw.once('error', (cause) => gunzip.destroy(cause))
  return raw.pipe(gunzip)
}

/** How many bytes the files have; null where that cannot be told. @throws SluiceError `log_unreadable` */
export function sizeOf(files: readonly string[]): number | null {
  let size = 0
  for (const file of files) {
    if (file === '-') return null
    try {
      const stat = statSync(file)
      if (!stat.isFile()) return null
      size += stat.size
    } catch (cause) {
      const why = (cause as Error).message
      throw new SluiceError('log_unreadable', `${file}: cannot be read (${why}); write the name of an access log`, {
        cause,
      })
    }
  }
  return size
}
