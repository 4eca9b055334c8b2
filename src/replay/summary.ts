import { sourceText } from '../identity/limit-keys.ts'
import { limitsOf, PREFLIGHT } from '../policy/preflight-limit.ts'
import { type BlindSpot, blindSpots } from './blind-spots.ts'
import type { ClientCount, ClientShare } from './clients.ts'
import type { Format } from './line.ts'
import type { Replay, Replayed, UnreadableSample } from './replay.ts'
import type { Group, Place } from './tally.ts'

/** What `--json` prints. Shares are between 0 and 1, of all requests; those of clients of the group's requests. */
export type Summary = {
  readonly version: 1
  readonly log: {
    readonly files: readonly string[]
    readonly formats: Readonly<Partial<Record<Format, number>>>
    readonly lines: number
    readonly requests: number
    readonly other_lines: number
    readonly no_request: number
    readonly unreadable: { readonly count: number; readonly share: number; readonly first: readonly UnreadableSample[] }
    readonly from: string | null
    readonly to: string | null
  }
  readonly policy: PolicySummary
  readonly against: PolicySummary | null
  /** Null without `--against`. */
  readonly difference: { readonly newly_refused: GroupSummary; readonly no_longer_refused: GroupSummary } | null
  /** Null where no line is our own. */
  readonly own: {
    readonly starts: number
    readonly missing: number
    readonly late: number
    readonly reproduced: { readonly same: number; readonly different: number; readonly first: readonly string[] }
  } | null
  readonly cannot_tell: readonly BlindSpot[]
  readonly seconds: number
}

export type PolicySummary = {
  readonly file: string | null
  readonly hash: string
  readonly mode: string
  readonly outcomes: Readonly<Record<string, number>>
  readonly tiers: Readonly<Record<string, number>>
  readonly refused: GroupSummary
  readonly limits: readonly (GroupSummary & {
    readonly name: string
    readonly per: string
    readonly mode: string
    readonly applied: number
    readonly would_limit: number
    /** Requests that another limit rejected while this one had the tokens: it took none. */
    readonly uncharged: number
  })[]
  readonly denied: Readonly<Record<string, number>>
}

export type GroupSummary = {
  readonly requests: number
  readonly share: number
  readonly clients: ClientCount
  readonly first: { readonly file: string; readonly line: number; readonly time: string } | null
  readonly worst: readonly (ClientShare & { readonly share: number })[]
}

export type SummaryOptions = {
  readonly files: readonly string[]
  readonly policyFile: string | null
  readonly againstFile: string | null
  /** How many of the worst clients are named. */
  readonly top: number
  readonly seconds: number
}

export function summarize(replayed: Replayed, options: SummaryOptions): Summary {
  const { requests, knowledge, policy, against, own } = replayed
  const group = (one: Group) => summarizeGroup(one, requests, options.top)
  const under = ({ policy, policy: { hash, mode }, tally }: Replay, file: string | null): PolicySummary => ({
    file,
    hash,
    mode,
    outcomes: tally.outcomes,
    tiers: Object.fromEntries(tally.tiers),
    refused: group(tally.refused),
    limits: limitsOf(policy)
      .filter(({ name }) => name !== PREFLIGHT || tally.limits.get(name)!.applied > 0)
      .map((limit) => {
        const { applied, wouldLimit, uncharged, refused } = tally.limits.get(limit.name)!
        const { name, per } = limit
        return {
          name,
          per: typeof per === 'string' ? per : per.map(sourceText).join(' '),
          mode: limit.mode,
          applied,
          would_limit: wouldLimit,
          uncharged,
          ...group(refused),
        }
      }),
    denied: Object.fromEntries(tally.denied),
  })
  return {
    version: 1,
    log: {
      files: options.files,
      formats: Object.fromEntries(knowledge.formats),
      lines: replayed.lines,
      requests,
      other_lines: replayed.other,
      no_request: replayed.noRequest.count,
      unreadable: {
        count: replayed.unreadable.count,
        share: shareOf(replayed.unreadable.count, replayed.lines),
        first: replayed.unreadable.first,
      },
      from: timeText(replayed.fromUs),
      to: timeText(replayed.toUs),
    },
    policy: under(policy, options.policyFile),
    against: against && under(against, options.againstFile),
    difference: against && {
      newly_refused: group(replayed.newlyRefused),
      no_longer_refused: group(replayed.noLongerRefused),
    },
    own: knowledge.own === 0 ? null : own,
    cannot_tell: blindSpots(replayed),
    seconds: Math.round(options.seconds * 1000) / 1000,
  }
}

function summarizeGroup({ requests, first, clients }: Group, all: number, top: number): GroupSummary {
  const worst = clients.worst(top).map((client) => ({ ...client, share: shareOf(client.requests, requests) }))
  return { requests, share: shareOf(requests, all), clients: clients.count(), first: placeOf(first), worst }
}

/** Between 0 and 1, to six digits. */
function shareOf(count: number, all: number): number {
  return all === 0 ? 0 : Number((count / all).toPrecision(6))
}

function placeOf(place: Place | null): GroupSummary['first'] {
  return place && { file: place.file, line: place.line, time: timeText(place.timeUs)! }
}

function timeText(us: number | null): string | null {
  return us === null ? null : new Date(us / 1000).toISOString()
}
