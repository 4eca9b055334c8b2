import { PROBLEM_TYPE, problemBody } from '../http/problem.ts'

/** What a request to the admin port may do: anybody reads what is open, `read` and `change` are for `judgeAccess` to allow. */
export type Access = 'open' | 'read' | 'change'

export type AdminRequest = {
  /** What stands in the place of `:id` in the route's path, decoded. */
  readonly id: string
  readonly query: URLSearchParams
  /** The body's members; none where there is no body. */
  readonly body: Readonly<Record<string, unknown>>
}

export type AdminAnswer = {
  readonly status: number
  readonly type: string
  readonly body: string | Buffer
  /** Names and values in turn, beside those that every answer has. */
  readonly fields?: readonly string[]
}

export type AdminRoute = {
  /** GET answers HEAD too. */
  readonly method: 'GET' | 'POST'
  /** As it must stand; a last segment `:id` stands for any one. */
  readonly path: string
  readonly access: Access
  answer(request: AdminRequest): AdminAnswer | Promise<AdminAnswer>
}

export function text(status: number, body: string): AdminAnswer {
  return { status, type: 'text/plain; charset=utf-8', body }
}

export function json(value: unknown, status = 200): AdminAnswer {
  return { status, type: 'application/json', body: JSON.stringify(value) }
}

export function problem(status: number, detail: string, fields: readonly string[] = []): AdminAnswer {
  return { status, type: PROBLEM_TYPE, body: problemBody({ status, detail }), fields }
}

/** The routes of a path, whatever their method, and what stands in the place of `:id`. */
export function routesOf(routes: readonly AdminRoute[], path: string): { found: readonly AdminRoute[]; id: string } {
  const exact = routes.filter((route) => route.path === path)
  if (exact.length > 0) return { found: exact, id: '' }
  const slash = path.lastIndexOf('/')
  const named = routes.filter((route) => route.path === `${path.slice(0, slash)}/:id`)
  const id = decode(path.slice(slash + 1))
  return id === '' ? { found: [], id } : { found: named, id }
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return ''
  }
}
