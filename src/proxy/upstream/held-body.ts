import type { IncomingMessage } from 'node:http'
import type { ByteBudget } from './byte-budget.ts'

/** The part of a request's body that was read before there was a connection for it. */
export type HeldBody = {
  readonly chunks: readonly Buffer[]
  /** Whether that is all of it. */
  readonly isWhole: boolean
  /** Nothing more is held back: what comes from now on is for whoever listens. The bytes go back to the budget. */
  release(): void
}

/**
 * Reads a body until it is whole, or longer than `limit`, or the budget of all such bodies is used up; then calls `onReady`,
 * once, and reads no further until `release`. A client that sends a small body slowly holds no connection to the upstream meanwhile.
 */
export function holdBody(request: IncomingMessage, limit: number, budget: ByteBudget, onReady: () => void): HeldBody {
  const chunks: Buffer[] = []
  let held = 0
  let isWhole = false
  let isReady = false

  function onData(chunk: Buffer): void {
    chunks.push(chunk)
    const hasRoom = held + chunk.length <= limit && budget.take(chunk.length)
    if (hasRoom) held += chunk.length
    else ready()
  }

  function onEnd(): void {
    isWhole = true
    ready()
  }

  function ready(): void {
    if (isReady) return
    isReady = true
    request.off('data', onData)
    request.off('end', onEnd)
    if (!isWhole) request.pause()
    onReady()
  }

  request.on('data', onData)
  request.on('end', onEnd)
  return {
    chunks,
    get isWhole() {
      return isWhole
    },
    release() {
      isReady = true
      request.off('data', onData)
      request.off('end', onEnd)
      budget.giveBack(held)
      held = 0
    },
  }
}
