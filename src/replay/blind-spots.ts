import { isEmptyMatch } from '../policy/match.ts'
import type { Match, Policy } from '../policy/types.ts'
import type { Knowledge } from './knowledge.ts'
import type { Replayed } from './replay.ts'

/** What the log does not tell, and what of the result may be otherwise for it. */
export type BlindSpot = { readonly what: string; readonly effect: string }

/** A share of one network from which on it is likely to be a proxy in front. */
const MOST = 0.5
const MIN_REQUESTS = 1000

/** Says what a log cannot tell, by what its lines told and what the policy asks for. */
export function blindSpots(replayed: Replayed): readonly BlindSpot[] {
  const { knowledge, policy } = replayed
  const spots: BlindSpot[] = []
  const tell = (what: string, effect: string) => void spots.push({ what, effect })
  if (knowledge.requests > 0) {
    tellOfFields(knowledge, policy.policy, tell)
    for (const [name, requests] of policy.engine.untold) {
      tell(`what limit '${name}' is keyed by`, `it was left out for ${requests} requests`)
    }
    const { requests, majority } = knowledge
    if (requests >= MIN_REQUESTS && majority.requests > MOST * requests) {
      const share = Math.round((100 * majority.requests) / requests)
      tell(
        `whether its addresses are the clients': ${share} % of the requests come from one network`,
        'if that is a proxy in front, its clients count as one; log the X-Forwarded-For field and name the proxy in identity.trusted_proxies',
      )
    }
  }
  const named = policy.engine.named()
  if (named > 0) {
    tell(
      `the address of ${named} requests: their client is a host name`,
      'each name counts as one client, and lists of addresses do not match it; log addresses (HostnameLookups Off)',
    )
  }
  if (knowledge.own > 0) tellOfOwn(replayed, tell)
  if (replayed.stepsBack > 0) {
    tell(
      `the time: it steps back by more than a minute ${replayed.stepsBack} times`,
      'the clock went on from where it was; give the files in the order in which they were written',
    )
  }
  if (policy.policy.server.workers !== 1) {
    tell(
      'which worker decided what',
      'limits were kept as if there were one; an own log of several is not reproduced exactly',
    )
  }
  if (policy.policy.store.kind === 'redis') {
    tell(
      'what other instances let through',
      'limits were kept in process, by this log alone, each request charged exactly',
    )
  }
  tell(
    'what clients would have done',
    'who is refused waits, retries or goes; the log tells what they did when other limits held',
  )
  return spots
}

type Tell = (what: string, effect: string) => void

function tellOfFields(knowledge: Knowledge, policy: Policy, tell: Tell): void {
  const { requests } = knowledge
  const lacking = (count: number) => (count === 0 ? 'at all' : `in ${requests - count} of ${requests} lines`)
  if (knowledge.address < requests) {
    tell(`the client's address (not ${lacking(knowledge.address)})`, 'requests without one count as one network')
  }
  if (knowledge.userAgent < requests) {
    tell(
      `User-Agent (not ${lacking(knowledge.userAgent)})`,
      'devices of one address that name none share what is left over',
    )
  }
  if (knowledge.allFields < requests && knowledge.languages < requests) {
    tell(
      `Accept-Language (not ${lacking(knowledge.languages)})`,
      'devices of one address with one User-Agent count as one class, so more are refused than would be',
    )
  }
  if (knowledge.credentials < requests) {
    tell(
      'device cookies, tokens and API keys',
      'everybody is a newcomer: who would be a member or a principal shares with the unproved, so more are refused than would be',
    )
  }
  if (knowledge.options > 0 && knowledge.allFields < requests && policy.exemptPreflight) {
    tell('which OPTIONS requests are preflights', `${knowledge.options} were counted, though preflights are exempt`)
  }
  if (knowledge.stepUs >= 1_000_000) {
    tell(
      'the time within a second',
      'requests of one second count as simultaneous, which is off by up to a second of each rate',
    )
  }
  tellOfMatches(knowledge, policy, tell)
}

/** The entries whose match looks at what the log does not tell. */
function tellOfMatches(knowledge: Knowledge, { limits, deny, exempt }: Policy, tell: Tell): void {
  const entries = [...limits, ...deny, ...exempt].filter(({ match }) => !isEmptyMatch(match))
  const named = (looks: (match: Match) => boolean) =>
    entries.flatMap(({ name, match }) => (looks(match) ? [`'${name}'`] : [])).join(', ')
  const byHost = named(({ hosts }) => hosts.length > 0)
  if (knowledge.host < knowledge.requests && byHost !== '') {
    tell('the host', `${byHost} matched no request without one`)
  }
  const byField = named(({ headers }) => headers.some(({ name }) => name !== 'user-agent' && name !== 'referer'))
  if (knowledge.allFields < knowledge.requests && byField !== '') {
    tell('other header fields', `${byField} matched no request whose field is not told`)
  }
}

function tellOfOwn({ knowledge, own, policy }: Replayed, tell: Tell): void {
  if (own.missing > 0) {
    tell(
      `${own.missing} decisions: their lines are missing (log.access, log.sample, or before the log began)`,
      'their tokens count as not taken, so fewer are refused than were',
    )
  }
  if (own.late > 0) {
    tell(`the turn of ${own.late} requests, which ended long after they were decided`, 'they were decided late')
  }
  if (knowledge.otherPolicy > 0 && knowledge.paths < knowledge.own) {
    tell(
      'paths (log.path)',
      `${knowledge.otherPolicy} requests were decided under another policy: limits match by the names that the lines give`,
    )
  }
  if (knowledge.otherPolicy > 0 && knowledge.paths > 0) {
    tell(
      'header fields and addresses',
      'limits that look at a field match where a limit of their name did; lists of addresses match nobody',
    )
  }
  const unidentified = policy.engine.unidentified()
  if (unidentified > 0) {
    tell(`who sent ${unidentified} requests, to which no limit applied`, 'they were not limited here either')
  }
}
