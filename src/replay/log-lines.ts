import { createReadStream, ReadStream, statSync } from 'node:fs'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { SluiceError } from '../errors.ts'
import { explainBinary, isGzip } from './file-kind.ts'

/** Lines of a chunk, the bytes of the file that were read by then, and lines that were too long to be kept. */
export type Chunk = { readonly lines: readonly string[]; readonly bytes: number }

/** Longer lines are no access lines: with all its fields a request is bounded by a proxy's own limits. */
export const MAX_LINE = 256 * 1024
/** Stands for a line that is too long: it is unreadable, and what it said is not kept. */
export const TOO_LONG = '\0too long'
const CHUNK = 256 * 1024
/** Bytes at the begin of a file that say what kind it is. */
const HEAD = 512
const BYTE_ORDER_MARK = '\xef\xbb\xbf'

/**
 * Reads a log's lines as latin1, a chunk at a time: a plain file, a gzipped one by its first bytes, or `input` where the name is `-`.
 * However long a line is, no more than `MAX_LINE` of it is kept.
 * @throws SluiceError `log_unreadable` where the file cannot be opened, read or unpacked, or is no text.
 */
export async function* logLines(file: string, input: Readable): AsyncGenerator<Chunk> {
  const raw = file === '-' ? input : createReadStream(file, { highWaterMark: CHUNK })
  const bytesRead = () => (raw instanceof ReadStream ? raw.bytesRead : 0)
  let carry = ''
  let isCutting = false
  let isFirst = true
  try {
    for await (const chunk of unpacked(raw)) {
      if (isFirst) refuseBinary(file, chunk)
      const text = isFirst ? withoutMark(chunk.toString('latin1')) : chunk.toString('latin1')
      isFirst = false
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
    if (cause instanceof SluiceError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new SluiceError('log_unreadable', `${file}: cannot be read (${why}); write the name of an access log`, {
      cause,
    })
  } finally {
    if (raw instanceof ReadStream) raw.destroy()
  }
  if (isCutting) yield { lines: [TOO_LONG], bytes: bytesRead() }
  else if (carry !== '') yield { lines: [carry], bytes: bytesRead() }
}

/** The chunks of a file, unpacked where its first bytes are those of gzip. */
async function* unpacked(raw: Readable): AsyncGenerator<Buffer> {
  const chunks = raw[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  const head = await readHead(chunks)
  if (!isGzip(head)) {
    yield* joined(head, chunks)
    return
  }
  const source = Readable.from(joined(head, chunks))
  const gunzip = createGunzip({ chunkSize: CHUNK })
  source.once('error', (cause) => gunzip.destroy(cause))
  yield* source.pipe(gunzip)
}

/** The first `HEAD` bytes or more, or all where there are fewer: a pipe may give them one by one. */
async function readHead(chunks: AsyncIterator<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let size = 0; size < HEAD; ) {
    const { value, done } = await chunks.next()
    if (done === true) break
    parts.push(value)
    size += value.length
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

async function* joined(head: Buffer, chunks: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value
}

function refuseBinary(file: string, chunk: Buffer): void {
  const why = explainBinary(chunk)
  if (why !== null) throw new SluiceError('log_unreadable', `${file}: ${why}`)
}

function withoutMark(text: string): string {
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(BYTE_ORDER_MARK.length) : text
}

/** How many bytes the files have; null where that cannot be told. @throws SluiceError `log_unreadable` */
export function sizeOf(files: readonly string[]): number | null {
  let size = 0
  for (const file of files) {
    if (file === '-') return null
    const stat = statOf(file)
    if (stat.isDirectory()) {
      throw new SluiceError('log_unreadable', `${file}: is a directory; write the names of access logs`)
    }
    if (!stat.isFile()) return null
    size += stat.size
  }
  return size
}

function statOf(file: string) {
  try {
    return statSync(file)
  } catch (cause) {
    const why = (cause as Error).message
    throw new SluiceError('log_unreadable', `${file}: cannot be read (${why}); write the name of an access log`, {
      cause,
    })
  }
}
