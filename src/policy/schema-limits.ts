import * as z from 'zod'
import { DATE, readDate } from './date.ts'
import { choice, flag, list, oneOrMany, optional, plainText, text, whole } from './field.ts'
import { readPathPattern } from './path-pattern.ts'
import { readFieldName, readHostPattern, readMethod, readSource, TOKEN } from './pattern.ts'
import { cidrs, entryName, someText } from './schema-common.ts'
import { MAX_BURST, meantRate, RATE, readRate } from './units.ts'

const RATE_WORDS = {
  what: 'a rate',
  write: 'a whole number and a unit, such as 10/s, 600/min, 1200/h or 10000/d',
  meant: meantRate,
}
const rate = () => text(RATE_WORDS, RATE, readRate)
const burst = () => whole(1, MAX_BURST)
const source = () => text({ what: 'a source', write: 'one such as header:x-tenant' }, /^/, readSource)

const method = () => text({ what: 'a method', write: 'one such as GET or POST' }, /^/, readMethod)

const matchShape = {
  path: optional(
    oneOrMany(text({ what: 'a path pattern', write: 'one such as /search/**' }, /^/, readPathPattern)),
  ).describe(
    'Path patterns: * for one segment or within one, ** for any number of them, {a,b} for alternatives. Any of them may match.',
  ),
  methods: optional(z.union([method(), list(method()), z.strictObject({ not: oneOrMany(method()) })])).describe(
    'Methods, any of which may match; {not: [GET]} for all others. GET stands for HEAD too.',
  ),
  host: optional(
    oneOrMany(text({ what: 'a host name', write: 'one such as api.example.com' }, /^/, readHostPattern)),
  ).describe('Host names, any of which may match; *.example.com for any name below it.'),
  header: optional(
    z.record(
      text({ what: "a header's name", write: 'one such as x-tenant' }, TOKEN, readFieldName),
      plainText(
        { what: "a header's value", write: 'a text in quotes, with * for any run of characters' },
        /^[\t\x20-\x7e\x80-\xff]+$/,
      ),
    ),
  ).describe(
    'Headers, all of which must match: a value, a pattern with * for any run of characters, or the words absent and present.',
  ),
}

const match = z.strictObject(matchShape).prefault({}).describe('Which requests: everything given must hold.')

const limitMatch = z
  .strictObject({
    ...matchShape,
    tier: optional(oneOrMany(choice(['anonymous', 'token', 'known', 'principal']))).describe(
      'How well a client is known: anonymous, token (an unverified token that was seen before), known (an admitted device cookie), principal.',
    ),
  })
  .prefault({})
  .describe('Which requests: everything given must hold.')

const entry = {
  name: entryName().describe('Appears in metrics and logs.'),
  cidr: optional(cidrs()).describe('The networks it holds for; left out, all.'),
  match,
  until: optional(
    text({ what: 'a date', write: 'one such as 2027-01-31 or 2027-01-31T08:00:00Z' }, DATE, readDate),
  ).describe('When it stops to hold: a date (its first moment, UTC) or a date and time with its zone.'),
  reason: optional(someText()).describe('Why; for those who read the policy later.'),
}

/** What is never limited. */
export const exempt = z
  .array(z.strictObject(entry))
  .prefault([])
  .describe('What is never limited. Denials come before it, limits after it.')

/** What is always refused. */
export const deny = z
  .array(z.strictObject({ ...entry, status: whole(400, 599).prefault(403).describe('The status of the refusal.') }))
  .prefault([])
  .describe('What is always refused.')

const limit = z.strictObject({
  name: entryName().describe('Appears in headers, metrics, logs and problem bodies.'),
  per: z
    .union([choice(['device', 'network', 'principal', 'global']), list(source())])
    .describe('What has a bucket of its own; a list: each combination of what its sources say.'),
  rate: rate().describe('How fast a bucket refills: 10/s, 600/min, 1200/h or 10000/d.'),
  burst: optional(burst()).describe("How many requests a full bucket holds; left out, the rate's count."),
  match: limitMatch,
  skip_for: optional(oneOrMany(choice(['principal', 'known']))).describe(
    'Tiers that this limit does not count, as other limits do: principal, known. What a client only claims is none of them.',
  ),
  cost: whole(1, MAX_BURST).prefault(1).describe('Tokens a request takes.'),
  mode: choice(['enforce', 'shadow']).prefault('enforce').describe('shadow: refuses nothing, counts everything.'),
  headers: flag().prefault(true).describe('Whether the limit shows in the RateLimit fields.'),
  newcomers: optional(
    z.strictObject({
      rate: optional(rate()).describe('Left out, five times the rate of the limit.'),
      burst: optional(burst()).describe('Left out, twice the burst of the limit.'),
    }),
  ).describe('What the unproved devices of one network share. Only per device.'),
  members: optional(
    z.strictObject({
      base: rate().describe('Left out, ten times the rate of the limit.'),
      per_device: rate().describe('Left out, a quarter of the rate of the limit.'),
    }),
  ).describe('What the proved devices of one network share: base, and per_device for each of them. Only per device.'),
  on_missing: optional(choice(['skip', 'share', 'deny'])).describe(
    'What happens to a client that is no principal, or leaves a source out: no limit, one bucket for all of them, or 403.',
  ),
  on_error: optional(choice(['local', 'allow', 'deny'])).describe("While the store is away; left out, the store's."),
  lease: optional(choice(['auto', 'off'])).describe("Whether tokens are taken in advance; left out, the store's."),
})

/** The limits; without a list of its own a policy has one for each device. */
export const limits = z
  .array(limit)
  .prefault([{ name: 'device', per: 'device', rate: '600/min', burst: 120 }])
  .describe('The limits. A request must pass all that match it.')
