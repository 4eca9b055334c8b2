import type { OwnRequest } from './line.ts'

export type DecisionOrder = {
  push(line: OwnRequest): void
  /** Hands out all that is held: the log, or the process that wrote it, has ended. */
  flush(): void
  /** Decisions of which the log has no line, so far; lines that came too late for their turn. */
  missing(): number
  late(): number
}

/** Requests that may end between the decision and the end of one. */
const MAX_HELD = 32_768
/** Milliseconds; what a line says of its process's start is exact to a few. */
const SAME_START_US = 10_000_000

/**
 * Puts access lines, which are written when requests end, back into the order in which the requests were decided: by the number of
 * the decision. A bounded heap holds those whose turn has not come. Numbers that begin anew are another process's.
 */
export function createDecisionOrder(emit: (line: OwnRequest) => void, restart: () => void): DecisionOrder {
  let heap: OwnRequest[] = []
  let next = 1
  let startUs = 0
  let missing = 0
  let late = 0

  function pop(): void {
    const line = takeLeast(heap)
    const number = numberOf(line)
    missing += number - next
    next = number + 1
    startUs = startOf(line)
    emit(line)
  }

  function flush(): void {
    while (heap.length > 0) pop()
  }

  return {
    push(line) {
      if (numberOf(line) < next) {
        if (Math.abs(startOf(line) - startUs) < SAME_START_US) {
          late++
          missing--
          return emit(line)
        }
        flush()
        next = 1
        restart()
      }
      insert(heap, line)
      while (heap.length > 0 && (numberOf(heap[0]!) === next || heap.length > MAX_HELD)) pop()
    },
    flush() {
      flush()
      heap = []
      next = 1
    },
    missing: () => missing,
    late: () => late,
  }
}

function numberOf({ evidence }: OwnRequest): number {
  return evidence!.decision
}

/** When the process began that wrote the line, by the wall. */
function startOf({ timeUs, evidence }: OwnRequest): number {
  return timeUs - evidence!.clock_us
}

function insert(heap: OwnRequest[], line: OwnRequest): void {
  let at = heap.length
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (numberOf(heap[parent]!) <= numberOf(line)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = line
}

function takeLeast(heap: OwnRequest[]): OwnRequest {
  const least = heap[0]!
  const last = heap.pop()!
  if (heap.length === 0) return least
  let at = 0
  for (let child = 1; child < heap.length; child = 2 * at + 1) {
    if (child + 1 < heap.length && numberOf(heap[child + 1]!) < numberOf(heap[child]!)) child++
    if (numberOf(last) <= numberOf(heap[child]!)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
  return least
}
