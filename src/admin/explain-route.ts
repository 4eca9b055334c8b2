import { SluiceError } from '../errors.ts'
import { readFieldLine, readQuestion } from '../explain/question.ts'
import type { Backstage } from './backstage.ts'
import { type AdminAnswer, type AdminRequest, json, problem } from './route.ts'
import { shownState } from './shown.ts'

/**
 * `GET /api/explain?request_id=...`: how one of the last refusals was decided, and the buckets of its key now.
 * `GET /api/explain?url=/path&method=GET&from=203.0.113.9&header=User-Agent:+curl`: what would become of a request now.
 */
export function explainRoute(backstage: Backstage): (request: AdminRequest) => Promise<AdminAnswer> {
  return async ({ query }) => {
    const requestId = query.get('request_id')
    if (requestId !== null) return explainRefusal(requestId)
    try {
      const headers = query.getAll('header').map(readFieldLine)
      const given = Object.fromEntries([...query].filter(([name]) => name !== 'header'))
      return json(await backstage.explain(readQuestion({ ...given, headers })))
    } catch (cause) {
      if (cause instanceof SluiceError && cause.code === 'usage') return problem(400, cause.message)
      throw cause
    }
  }

  async function explainRefusal(requestId: string): Promise<AdminAnswer> {
    const refusal = await backstage.refusal(requestId)
    if (refusal === null) {
      return problem(
        404,
        'No refusal of that request is known: it was not refused by a limit, another instance did it, or it is not among the last 1,000.',
      )
    }
    const { key, network } = refusal
    return json({ refusal, now: shownState(await backstage.keyState({ key, network })) })
  }
}
