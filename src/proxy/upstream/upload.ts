import type { IncomingMessage } from 'node:http'
import type { FieldRoles } from '../../http/field-roles.ts'
import { lingerOn } from '../lingering-close.ts'
import type { Connection } from './connection.ts'
import type { HeldBody } from './held-body.ts'
import { forwardableRequestTrailers } from './trailers.ts'

export type Upload = {
  /** The connection takes more. */
  onDrain(): void
  /** Nothing of the body goes upstream any more. */
  stop(): void
}

export type UploadOptions = {
  readonly request: IncomingMessage
  readonly connection: Connection
  readonly isChunked: boolean
  readonly fieldRoles: FieldRoles
  readonly onLookAlike: () => void
  readonly idleTimeout: number
  readonly onEnd: () => void
  /** What was read of the body already; null where nothing was. */
  readonly held: HeldBody | null
}

/** Sends a request's body as it comes, as fast as the upstream takes it. */
export function startUpload(options: UploadOptions): Upload {
  const { request, connection, isChunked, idleTimeout, onEnd, held } = options
  const { socket } = connection

  function onData(chunk: Buffer): void {
    if (isChunked) {
      socket.cork()
      socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
      socket.write(chunk)
      socket.write('\r\n', 'latin1')
      socket.uncork()
    } else {
      socket.write(chunk)
    }
    connection.since = 0
    if (!socket.writableNeedDrain) return
    request.pause()
    if (!connection.isAnswering()) connection.wait(idleTimeout, 'write_timeout')
  }

  function onLast(): void {
    if (isChunked) socket.write(`0\r\n${trailerLines(request.rawTrailers, options)}\r\n`, 'latin1')
    onEnd()
  }

  if (held?.isWhole) {
    held.chunks.forEach(onData)
    onLast()
  } else {
    request.on('data', onData)
    request.on('end', onLast)
    if (held !== null) {
      held.chunks.forEach(onData)
      if (!socket.writableNeedDrain) request.resume()
    }
  }
  held?.release()
  return {
    onDrain() {
      if (!request.isPaused()) return
      if (!connection.isAnswering()) connection.wait(Number.POSITIVE_INFINITY, 'write_timeout')
      request.resume()
    },
    stop() {
      request.off('data', onData)
      request.off('end', onLast)
    },
  }
}

/**
 * Reads on, to no end, the body of a request that is answered already: unread it would stop the connection, where the
 * client's next request waits behind it. One that goes on for long is cut off, with its connection.
 */
export function discardRest(request: IncomingMessage): void {
  const stop = lingerOn(request.socket, true, () => request.destroy())
  request.once('end', stop)
  request.resume()
}

function trailerLines(rawTrailers: readonly string[], { fieldRoles, onLookAlike }: UploadOptions): string {
  if (rawTrailers.length === 0) return ''
  const fields = forwardableRequestTrailers(rawTrailers, fieldRoles, onLookAlike)
  let lines = ''
  for (let i = 0; i < fields.length; i += 2) lines += `${fields[i]}: ${fields[i + 1]}\r\n`
  return lines
}
