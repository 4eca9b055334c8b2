import { SluiceError } from '../errors.ts'
import { readFieldLine, readQuestion } from '../explain/question.ts'
import { printable } from '../policy/show.ts'
import { type Backstage, kindOf } from './backstage.ts'
import { BadMember } from './read-order.ts'
import { type AdminAnswer, type AdminRequest, json, problem } from './route.ts'
import { shownState } from './shown.ts'

const UNKNOWN =
  'No refusal of that request is known: it was not refused by a limit, another instance did it, or it is not among the last 1,000.'

/**
 * `/api/explain`, asked by `request_id`: how one of the last refusals was decided, and the buckets of its key now; else what would
 * become of a request now. By GET it is `?url=/path&method=GET&from=203.0.113.9&header=User-Agent:+curl`; by POST an object, as
 * `readQuestion` takes it, for what bears a secret must not stand in an address. Neither changes anything.
 */
export function explainRoute(backstage: Backstage): (request: AdminRequest) => Promise<AdminAnswer> {
  return async ({ query, body }) => {
    try {
      const { request_id: id, ...given } = { ...readQuery(query), ...body }
      if (id === undefined) return json(await backstage.explain(readQuestion(given)))
      if (typeof id !== 'string') throw new BadMember('request_id is not a text; write it as the answer had it')
      if (Object.keys(given).length > 0) throw new BadMember('request_id asks about a refusal; write nothing beside it')
      return await explainRefusal(id)
    } catch (cause) {
      if (cause instanceof SluiceError && cause.code === 'usage') return problem(400, cause.message)
      throw cause
    }
  }

  async function explainRefusal(requestId: string): Promise<AdminAnswer> {
    const refusal = await backstage.refusal(requestId)
    if (refusal === null) return problem(404, UNKNOWN)
    const { key, network, tag } = refusal
    return json({ refusal, now: shownState(await backstage.keyState({ key, network, tag, kind: kindOf(refusal)! })) })
  }
}

function readQuery(query: URLSearchParams): Record<string, unknown> {
  const given: Record<string, unknown> = Object.create(null)
  for (const [name, value] of query) {
    if (name === 'header') continue
    if (name in given) throw new BadMember(`${printable(name).slice(0, 40)} is there twice; write it once`)
    given[name] = value
  }
  const lines = query.getAll('header')
  return lines.length === 0 ? given : { ...given, headers: lines.map(readFieldLine) }
}
