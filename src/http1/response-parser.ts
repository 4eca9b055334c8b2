import type { Fields } from '../http/fields.ts'
import { CR, LF } from './characters.ts'
import { createChunkSize } from './chunk-size.ts'
import { createHeaderSection, type SectionLimits } from './header-section.ts'
import { createStatusLine } from './status-line.ts'

/** The head of an answer: its status line and its fields as they were sent. */
export type ResponseHead = Fields & { readonly status: number; readonly reason: string }

/** What is wrong with the bytes of a response, or with where they end. */
export type ResponseFault = 'malformed' | 'too_large' | 'switched' | 'terminated' | 'incomplete'

export type ResponseEvents = {
  /** An informational answer (1xx) before the final one. */
  onInformation(head: ResponseHead): void
  /** `isLast`: there is no body. */
  onHead(head: ResponseHead, isLast: boolean): void
  /** Bytes of the body between two offsets, valid during the call. `isLast`: the answer ends with them. */
  onBody(bytes: Buffer, from: number, to: number, isLast: boolean): void
  /** The end of an answer whose last event did not say so; with the trailers of a chunked one. */
  onEnd(trailers: Fields | null): void
}

/** An upstream that answers with nothing but informational answers is cut off after so many. */
const MAX_INFORMATION = 32
const MAX_LENGTH = /^\d{1,15}$/
const FRAMING = new Set(['content-length', 'transfer-encoding'])

const IDLE = 0
const HEAD = 1
const LENGTH = 2
const CHUNK_SIZE = 3
const CHUNK_DATA = 4
const CHUNK_CR = 5
const CHUNK_LF = 6
const TRAILERS = 7
const UNTIL_CLOSE = 8

/**
 * Parses the answers on one connection, one after another (RFC 9112). Refuses what two parsers could understand differently:
 * two lengths, a length beside a Transfer-Encoding, another coding than chunked, and what header-section.ts says.
 */
export function createResponseParser(events: ResponseEvents, limits: SectionLimits) {
  const statusLine = createStatusLine()
  const section = createHeaderSection(limits, statusLine)
  const chunkSize = createChunkSize()
  let state = IDLE
  let isHeadRequest = false
  let information = 0
  /** Bytes missing of a body of known length, or of a chunk. */
  let missing = 0
  let isPersistent = false
  let keepAliveHint = -1

  /** The next bytes are an answer to a request of this method. */
  function begin(method: string): void {
    isHeadRequest = method === 'HEAD'
    information = 0
    state = HEAD
    section.begin(true)
  }

  /** Takes bytes; gives what is wrong with them, or null. Bytes behind the end of the answer make the connection unfit for another. */
  function read(bytes: Buffer, length: number): ResponseFault | null {
    let at = 0
    while (at < length) {
      switch (state) {
        case HEAD:
        case TRAILERS: {
          const outcome = section.read(bytes, at, length)
          if (outcome === 'more') return null
          if (outcome !== 'done') return outcome
          at = section.consumed()
          if (state === TRAILERS) {
            const trailers = section.fields()
            // Behind the body they cannot frame it: whoever writes them there means another message.
            if (trailers.names.some((name) => FRAMING.has(name))) return 'malformed'
            state = IDLE
            events.onEnd(trailers)
            break
          }
          const fault = takeHead()
          if (fault !== null) return fault
          break
        }
        case LENGTH: {
          const from = at
          at = Math.min(length, at + missing)
          missing -= at - from
          if (missing === 0) state = IDLE
          events.onBody(bytes, from, at, missing === 0)
          break
        }
        case UNTIL_CLOSE:
          events.onBody(bytes, at, length, false)
          return null
        case CHUNK_SIZE: {
          const end = chunkSize.read(bytes, at, length)
          if (end === -1) return null
          if (end === -2) return 'malformed'
          at = end
          missing = chunkSize.size()
          state = missing === 0 ? TRAILERS : CHUNK_DATA
          if (missing === 0) section.begin(false)
          break
        }
        case CHUNK_DATA: {
          const from = at
          at = Math.min(length, at + missing)
          missing -= at - from
          if (missing === 0) state = CHUNK_CR
          events.onBody(bytes, from, at, false)
          break
        }
        case CHUNK_CR:
          if (bytes[at++] !== CR) return 'malformed'
          state = CHUNK_LF
          break
        case CHUNK_LF:
          if (bytes[at++] !== LF) return 'malformed'
          state = CHUNK_SIZE
          chunkSize.begin()
          break
        default:
          isPersistent = false
          return null
      }
    }
    return null
  }

  function takeHead(): ResponseFault | null {
    const { status, reason, isVersion11 } = statusLine.last(section.text())
    const { fields, names } = section.fields()
    let length = -1
    let isChunked = false
    let isClosing = false
    isPersistent = isVersion11
    keepAliveHint = -1
    for (let i = 0; i < names.length; i++) {
      const value = fields[2 * i + 1]!
      switch (names[i]) {
        case 'content-length':
          if (length !== -1 || !MAX_LENGTH.test(value)) return 'malformed'
          length = Number(value)
          break
        case 'transfer-encoding':
          // A coding in HTTP/1.0 is one that somebody on the way did not understand (section 6.1).
          if (isChunked || !isVersion11 || value.toLowerCase() !== 'chunked') return 'malformed'
          isChunked = true
          break
        case 'connection':
          if (hasOption(value, 'close')) isClosing = true
          else if (!isVersion11 && hasOption(value, 'keep-alive')) isPersistent = true
          break
        case 'keep-alive': {
          const hint = /(?:^|[,;\s])timeout\s*=\s*"?(\d{1,9})/i.exec(value)?.[1]
          if (hint !== undefined) keepAliveHint = Number(hint) * 1000
          break
        }
      }
    }
    if (isChunked && length !== -1) return 'malformed'
    if (isClosing) isPersistent = false
    const head = { status, reason, fields, names }
    if (status === 101) return 'switched'
    if (status < 200) {
      // It has no body (RFC 9110 section 15.2), and is not the last: one that says otherwise is another kind of answer.
      if (isChunked || length !== -1 || !isPersistent) return 'malformed'
      if (++information > MAX_INFORMATION) return 'malformed'
      section.begin(true)
      events.onInformation(head)
      return null
    }
    if (isHeadRequest || status === 204 || status === 304) {
      // A wrong upstream sends a body all the same, and it would be read as the next answer: not to be risked.
      if (isHeadRequest || isChunked || length > 0) isPersistent = false
      state = IDLE
      events.onHead(head, true)
      return null
    }
    if (isChunked) {
      state = CHUNK_SIZE
      chunkSize.begin()
    } else if (length === -1) {
      state = UNTIL_CLOSE
      isPersistent = false
    } else {
      state = length === 0 ? IDLE : LENGTH
      missing = length
    }
    events.onHead(head, state === IDLE)
    return null
  }

  /** The connection has ended: gives whether that ends the answer as it should, or what is wrong. */
  function end(): ResponseFault | null {
    if (state === HEAD) return 'terminated'
    if (state !== UNTIL_CLOSE) return 'incomplete'
    state = IDLE
    events.onEnd(null)
    return null
  }

  return {
    begin,
    read,
    end,
    /** Nothing that comes is for anybody any more. */
    stop() {
      state = IDLE
    },
    /** Whether the answer is whole, or none is awaited. */
    isIdle: () => state === IDLE,
    /** Whether the connection may bear another request. */
    isPersistent: () => isPersistent,
    /** How long (milliseconds) the upstream says that it keeps the connection open; -1 where it does not say. */
    keepAliveHint: () => keepAliveHint,
  }
}

/** Whether a Connection field has an option (lower case). */
function hasOption(value: string, option: string): boolean {
  const lower = value.toLowerCase()
  if (lower === option) return true
  return lower.includes(option) && lower.split(',').some((given) => given.trim() === option)
}
