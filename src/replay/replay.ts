import type { Readable } from 'node:stream'
import type { Policy } from '../policy/types.ts'
import { createDecisionOrder } from './decision-order.ts'
import { createEngine, type Engine, type Verdict } from './engine.ts'
import { escapeControls } from './formats/quote.ts'
import { createKnowledge, type Knowledge, noteNetwork, noteOwn, noteRequest } from './knowledge.ts'
import type { Format, LoggedRequest, OwnRequest, Unreadable } from './line.ts'
import { createLogClock } from './log-clock.ts'
import { logLines, MAX_LINE, TOO_LONG } from './log-lines.ts'
import { createLineReader } from './read-line.ts'
import { addTo, count, createGroup, createTally, type Group, isRefused, type Place, type Tally } from './tally.ts'

export type ReplayOptions = {
  readonly files: readonly string[]
  /** What the file `-` stands for. */
  readonly input: Readable
  /** Null to recognise it, line by line. */
  readonly format: Format | null
  readonly policy: Policy
  readonly against: Policy | null
  /** Called now and then: lines read so far, bytes of the files so far. */
  readonly onProgress?: (lines: number, bytes: number) => void
  /** Called for each request, in the order in which they are decided. */
  readonly onVerdict?: (verdict: Verdict, place: Place, requestId: string | null) => void
}

/** A line that tells of no request, and why: its begin, without what a terminal would obey. */
export type Sample = { readonly file: string; readonly line: number; readonly text: string; readonly reason: string }
/** `format`: whose reader came nearest, and how much of the format (between 0 and 1) it found. */
export type UnreadableSample = Sample & { readonly format: Format | null; readonly found: number }

/** What our own log says of its decisions, beside what the replay makes of them. */
export type Reproduced = {
  same: number
  different: number
  /** The request ids of the first that differ. */
  readonly first: string[]
}

export type Replayed = {
  readonly lines: number
  readonly requests: number
  readonly other: number
  /** Connections on which the log tells of no request, and the first of them. */
  readonly noRequest: { readonly count: number; readonly first: Sample | null }
  /** `nearest`: the line of which most was found. */
  readonly unreadable: {
    readonly count: number
    readonly first: readonly UnreadableSample[]
    readonly nearest: UnreadableSample | null
  }
  /** Microseconds since the epoch; null where there are no requests. */
  readonly fromUs: number | null
  readonly toUs: number | null
  readonly stepsBack: number
  readonly knowledge: Knowledge
  readonly own: {
    readonly starts: number
    readonly missing: number
    readonly late: number
    readonly reproduced: Reproduced
  }
  readonly policy: Replay
  readonly against: Replay | null
  readonly newlyRefused: Group
  readonly noLongerRefused: Group
}

export type Replay = { readonly policy: Policy; readonly tally: Tally; readonly engine: Engine }

const SAMPLES = 3
const DIFFERENT = 5
/** Characters of an unreadable line, and of request ids, that are kept. */
const SAMPLE_LENGTH = 200
/** What a line's verdict is as an outcome; what the store's absence refused is no word of the limits. */
const SAID = { allowed: 'forwarded', limited: 'limited', missing: 'denied', unavailable: 'forwarded' } as const
const TEN_MINUTES_US = 600_000_000

/**
 * Drives the real engine by a log, on the log's own clock, under one policy or under two at once. Memory is bounded, however long the
 * log is. @throws SluiceError `log_unreadable`
 */
export async function replay(options: ReplayOptions): Promise<Replayed> {
  const { files, input, onProgress = () => {}, onVerdict = () => {} } = options
  const readLine = createLineReader(options.format)
  let now = createLogClock(0)
  let isClockSet = false
  let stepsBack = 0
  const clock = { nowUs: () => now.nowUs() }
  const begin = (policy: Policy) => ({ policy, tally: createTally(policy), engine: createEngine(policy, clock) })
  const main = begin(options.policy)
  const other = options.against === null ? null : begin(options.against)
  const newlyRefused = createGroup()
  const noLongerRefused = createGroup()
  const knowledge = createKnowledge()
  const first: UnreadableSample[] = []
  let nearest: UnreadableSample | null = null
  let firstNoRequest: Sample | null = null
  const counts = { lines: 0, requests: 0, other: 0, noRequest: 0, unreadable: 0, starts: 0 }
  const reproduced: Reproduced = { same: 0, different: 0, first: [] }
  const places = new WeakMap<OwnRequest, Place>()
  const order = createDecisionOrder(decideOwn, restart)
  let fromUs = Number.POSITIVE_INFINITY
  let toUs = Number.NEGATIVE_INFINITY

  function settle(judge: (engine: Engine) => Verdict, place: Place, requestId: string | null): Verdict {
    counts.requests++
    fromUs = Math.min(fromUs, place.timeUs)
    toUs = Math.max(toUs, place.timeUs)
    const verdict = judge(main.engine)
    count(main.tally, verdict, place)
    if (other !== null) {
      const before = judge(other.engine)
      count(other.tally, before, place)
      if (isRefused(verdict) && !isRefused(before)) addTo(newlyRefused, verdict, place)
      if (isRefused(before) && !isRefused(verdict)) addTo(noLongerRefused, before, place)
    }
    onVerdict(verdict, place, requestId)
    return verdict
  }

  function decide(request: LoggedRequest, place: Place): void {
    // From a round number on: what counts in windows of time begins them where the log's hours do.
    if (!isClockSet) now = createLogClock(Math.floor(place.timeUs / TEN_MINUTES_US) * TEN_MINUTES_US)
    isClockSet = true
    now.moveTo(place.timeUs)
    noteRequest(knowledge, request)
    const { identity } = settle((engine) => engine.judge(request, place.timeUs / 1000), place, null)
    if (identity !== null) noteNetwork(knowledge, identity.network.id)
  }

  function decideOwn(request: OwnRequest): void {
    const place = places.get(request)!
    if (request.evidence !== null) now.moveTo(request.evidence.clock_us)
    noteOwn(knowledge, request, options.policy)
    const verdict = settle((engine) => engine.judgeOwn(request, place.timeUs / 1000), place, request.requestId)
    if (request.evidence === null) return
    if (verdict.outcome === SAID[request.evidence.verdict ?? 'allowed']) {
      reproduced.same++
      return
    }
    reproduced.different++
    if (reproduced.first.length < DIFFERENT) reproduced.first.push(request.requestId.slice(0, SAMPLE_LENGTH))
  }

  /** A process of ours begins with nothing in memory, and its clock anew. */
  function restart(): void {
    stepsBack += now.stepsBack()
    now = createLogClock(0)
    main.engine.restart()
    other?.engine.restart()
  }

  function take(text: string, file: string, line: number): void {
    const read = text === TOO_LONG ? LONG : readLine(text)
    switch (read.kind) {
      case 'request':
        return decide(read, { file, line, timeUs: read.timeUs })
      case 'own':
        places.set(read, { file, line, timeUs: read.timeUs })
        return read.evidence === null ? decideOwn(read) : order.push(read)
      case 'start':
        counts.starts++
        order.flush()
        return restart()
      case 'other':
        counts.other++
        return
      case 'noRequest':
        counts.noRequest++
        firstNoRequest ??= { file, line, text: sampleOf(text), reason: read.reason }
        return
      case 'unreadable': {
        counts.unreadable++
        const isNearest = nearest === null || read.found > nearest.found
        if (first.length >= SAMPLES && !isNearest) return
        const { format, found, reason } = read
        const sample = { file, line, text: sampleOf(text), reason, format, found }
        if (first.length < SAMPLES) first.push(sample)
        if (isNearest) nearest = sample
      }
    }
  }

  let bytesBefore = 0
  for (const file of files) {
    let line = 0
    let bytesOfFile = 0
    for await (const { lines, bytes } of logLines(file, input)) {
      for (const text of lines) {
        line++
        if (text === '' || text === '\r') continue
        counts.lines++
        take(text.endsWith('\r') ? text.slice(0, -1) : text, file, line)
      }
      bytesOfFile = bytes
      onProgress(counts.lines, bytesBefore + bytes)
    }
    bytesBefore += bytesOfFile
  }
  order.flush()

  const { unreadable, noRequest, starts, ...rest } = counts
  return {
    ...rest,
    noRequest: { count: noRequest, first: firstNoRequest },
    unreadable: { count: unreadable, first, nearest },
    fromUs: rest.requests === 0 ? null : fromUs,
    toUs: rest.requests === 0 ? null : toUs,
    stepsBack: stepsBack + now.stepsBack(),
    knowledge,
    own: { starts, missing: order.missing(), late: order.late(), reproduced },
    policy: main,
    against: other,
    newlyRefused,
    noLongerRefused,
  }
}

const LONG: Unreadable = {
  kind: 'unreadable',
  format: null,
  found: 0,
  reason: `is longer than ${MAX_LINE / 1024} KiB`,
}

function sampleOf(text: string): string {
  if (text === TOO_LONG) return ''
  return escapeControls(text.length <= SAMPLE_LENGTH ? text : `${text.slice(0, SAMPLE_LENGTH)}...`)
}
