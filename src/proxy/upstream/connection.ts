import type { Socket } from 'node:net'
import { createResponseParser, type ResponseEvents } from '../../http1/response-parser.ts'
import type { UpstreamPolicy } from '../../policy/types.ts'
import type { Connect } from './connect.ts'
import { type Fault, type ForwardFailure, failureOf, faultFailure } from './failure.ts'
import type { Sharer } from './places.ts'
import { readAfterWriteError } from './read-after-write-error.ts'

/** Who uses a connection, for one request and its answer. */
export type ConnectionUser = ResponseEvents &
  Sharer & {
    readonly method: string
    /** It is this connection that the request goes over. */
    onConnection(connection: Connection): void
    /** The connection stands: the request is to be written. */
    onReady(): void
    /** All that has arrived by now has been told. */
    onPause(): void
    onDrain(): void
    /** The upstream takes no more of the request, but may have answered it. */
    onWriteError(): void
    /** Whether the request may be sent once more, as nobody has seen it. Asked of a used connection that gives no answer. */
    mayRepeat(): boolean
    /** There will be no answer, or no more of it. */
    onFault(failure: ForwardFailure): void
    /** The client reads nothing any more. */
    onStall(): void
  }

export type ConnectionOwner = {
  /** The answer is whole, and the connection free for another request. */
  released(connection: Connection): void
  /** The connection is over. `again` is to be sent over another one. */
  gone(connection: Connection, again: ConnectionUser | null): void
}

/** How long (milliseconds) an upstream that takes nothing more of a request may still answer it. */
const LAST_WORD = 500

/** What the socket's bytes are read into, one connection after the other: each takes what it needs before the next is read. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024)
/** The upstream's clock for an idle connection began before ours did, by a network's delay and more. */
const HINT_MARGIN = 1000

/**
 * One connection to the upstream, for one request after another. Times are kept by a sweep of its pool, which looks at
 * `since`: 0 means that there was progress after the last look, so a request sets no timer and reads no clock.
 */
export class Connection {
  since = 0
  limit: number
  isStream = false
  /** Null while it is idle. */
  user: ConnectionUser | null
  /** Who used it last: until it is released, the place is theirs. */
  sharer: Sharer
  readonly socket: Socket
  private readonly owner: ConnectionOwner
  private readonly idleLimit: number
  private readonly parser: ReturnType<typeof createResponseParser>
  private lateness: Fault = 'connect_timeout'
  private isOpen = false
  private isGone = false
  /** Why nothing more can be sent. */
  private writeError: Error | null = null
  private isUsed = false
  private isSent = false
  private hasAnswered = false
  isStalled = false
  /** The method gives the request's body no meaning: the connection is not used again. */
  hasOddBody = false

  constructor(
    connect: Connect,
    user: ConnectionUser,
    owner: ConnectionOwner,
    limits: Pick<UpstreamPolicy, 'connectTimeout' | 'keepAliveTimeout' | 'maxHeaderBytes' | 'maxHeaders'>,
  ) {
    this.owner = owner
    this.user = user
    this.sharer = user
    this.limit = limits.connectTimeout
    this.idleLimit = limits.keepAliveTimeout
    this.parser = createResponseParser(
      {
        onInformation: (head) => this.user?.onInformation(head),
        onHead: (head, isLast) => this.user?.onHead(head, isLast),
        onBody: (bytes, from, to, isLast) => this.user?.onBody(bytes, from, to, isLast),
        onEnd: (trailers) => this.user?.onEnd(trailers),
      },
      { maxBytes: limits.maxHeaderBytes, maxHeaders: limits.maxHeaders },
    )
    const socket = connect.open({
      buffer: READ_BUFFER,
      callback: (length) => {
        this.read(READ_BUFFER, length)
        return true
      },
    })
    this.socket = socket
    if (connect.readyEvent === 'secureConnect') socket.on('data', (bytes: Buffer) => this.read(bytes, bytes.length))
    socket.on(connect.readyEvent, () => {
      if (this.isGone) return
      this.isOpen = true
      this.begin()
    })
    socket.on('end', () => this.ended())
    socket.on('error', (cause) => this.broken(cause))
    socket.on('close', () => this.ended())
    socket.on('drain', () => this.user?.onDrain())
    readAfterWriteError(socket, (cause) => this.cannotWrite(cause))
    user.onConnection(this)
  }

  /** Sends another request over an idle connection. */
  use(user: ConnectionUser): void {
    this.user = user
    this.sharer = user
    this.isUsed = true
    user.onConnection(this)
    this.begin()
  }

  private begin(): void {
    this.isSent = false
    this.hasAnswered = false
    this.wait(Number.POSITIVE_INFINITY, 'response_timeout')
    this.parser.begin(this.user!.method)
    this.user!.onReady()
  }

  /** The request has been written whole: an answer is awaited from now on. */
  sent(responseTimeout: number): void {
    this.isSent = true
    if (!this.isAnswering()) this.wait(responseTimeout, 'response_timeout')
  }

  /** From now on nothing may take longer than that (milliseconds), or the fault is this. */
  wait(limit: number, lateness: Fault): void {
    this.limit = limit
    this.since = 0
    this.lateness = lateness
  }

  /** Whether the header of the answer is here. */
  isAnswering(): boolean {
    return this.lateness === 'body_timeout'
  }

  /** Stops reading: the client is slower than the upstream. */
  stall(): void {
    this.isStalled = true
    this.since = 0
    this.socket.pause()
  }

  goOn(): void {
    this.isStalled = false
    this.since = 0
    this.socket.resume()
  }

  /** Looks whether the time is up; `now` in milliseconds. Never too early, late by two sweeps at most. */
  sweep(now: number): void {
    if (this.since === 0) this.since = now
    else if (now - this.since >= this.limit) this.expire()
  }

  private expire(): void {
    if (this.user === null) this.close()
    else if (this.isStalled) this.user.onStall()
    else this.fail(this.writeError === null ? faultFailure(this.lateness) : failureOf(this.writeError))
  }

  private read(bytes: Buffer, length: number): void {
    // Bytes that nobody asked for: what they belong to nobody knows.
    if (this.user === null) return this.close()
    this.hasAnswered = true
    // A header that trickles in is late as a whole, a body only from one piece to the next.
    if (this.isAnswering()) this.since = 0
    const fault = this.parser.read(bytes, length)
    if (this.isGone) return
    if (fault !== null) this.fail(faultFailure(fault))
    else if (this.parser.isIdle()) this.finish()
    else this.user.onPause()
  }

  /** The answer is whole. A connection that owes a part of the request, or has more to say, is not used again. */
  private finish(): void {
    const { parser } = this
    this.user = null
    const hint = parser.keepAliveHint()
    const limit = hint === -1 ? this.idleLimit : Math.min(this.idleLimit, hint - HINT_MARGIN)
    if (!this.isSent || this.hasOddBody || !parser.isPersistent() || limit <= 0) return this.close()
    if (this.isStalled) this.goOn()
    this.limit = limit
    this.since = 0
    this.owner.released(this)
  }

  private ended(): void {
    if (this.isGone) return
    if (this.user === null) return this.close()
    const fault = this.isOpen ? this.parser.end() : 'terminated'
    if (this.isGone) return
    if (fault === null) this.finish()
    else this.fail(faultFailure(fault))
  }

  private broken(cause: Error): void {
    if (this.isGone) return
    if (this.user === null) return this.close()
    this.fail(this.hasAnswered ? faultFailure('incomplete', cause) : failureOf(cause))
  }

  /** The upstream has closed: for a while longer, what it said before that is read. */
  private cannotWrite(cause: Error): void {
    if (this.isGone) return
    if (this.user === null) return this.close()
    this.writeError = cause
    this.user.onWriteError()
    if (!this.isAnswering()) this.wait(LAST_WORD, 'response_timeout')
  }

  /** Ends the connection, and tells the user why, unless the request goes over another one. */
  fail(failure: ForwardFailure): void {
    const { user } = this
    const isStale = this.isUsed && !this.hasAnswered && failure.error === 'connection_terminated'
    const again = isStale && user?.mayRepeat() === true
    this.destroy()
    this.owner.gone(this, again ? user : null)
    if (!again) user?.onFault(failure)
  }

  /** Ends the connection, for nobody is interested any more. */
  close(): void {
    if (this.isGone) return
    this.destroy()
    this.owner.gone(this, null)
  }

  private destroy(): void {
    this.user = null
    this.isGone = true
    this.parser.stop()
    this.socket.destroy()
  }
}
