import { createHash } from 'node:crypto'
import type { Hono } from 'hono'
import { type JsonObject, readJsonObject } from './body.ts'
import { normaliseEmail } from './email.ts'
import type { DemoEnv } from './hono-env.ts'
import { readPage, respondPage } from './paging.ts'
import { type BodyError, problem } from './problem.ts'
import type { Timers } from './timers.ts'
import type { User, Users } from './users.ts'

/** The statuses that say "this exists already". Never 400, which says that the request was not understood. */
export type ConflictStatus = 409 | 422

/** What the routes of users stand on. */
export type ConflictOptions = {
  readonly users: Users
  readonly conflictStatus: ConflictStatus
  readonly newId: () => string
  readonly timers: Timers
}

const MAX_BODY_BYTES = 64 * 1024
const MAX_NAME_LENGTH = 200

/** `/users`: creating what already exists is a conflict, told without a word about who exists. */
export function userRoutes(app: Hono<DemoEnv>, { users, conflictStatus, newId, timers }: ConflictOptions): void {
  app.get('/users', async (c) => {
    const page = readPage(c)
    if (page instanceof Response) return page
    return respondPage(c, 'users', page, await users.page(page))
  })

  app.get('/users/:id', async (c) => {
    const user = await users.get(c.req.param('id'))
    return user === undefined ? unknownUser() : c.json(user, 200, { ETag: etagOf(user) })
  })

  app.put('/users/:id', async (c) => {
    const body = await readJsonObject(c, MAX_BODY_BYTES)
    if (body instanceof Response) return body
    const wanted = readUser(body)
    if ('errors' in wanted) return breaksRule(wanted.errors)
    const from = await users.get(c.req.param('id'))
    if (from === undefined) return unknownUser()
    const expected = c.req.header('if-match')
    if (expected === undefined) {
      return problem(428, { type: 'if-match-missing', detail: "Send the user's ETag as If-Match." })
    }
    if (!isMatch(expected, etagOf(from))) return changed()
    const to = { ...from, ...wanted }
    const outcome = await users.replace(from, to)
    if (outcome === 'taken') return taken(conflictStatus)
    return outcome === 'changed' ? changed() : c.json(to, 200, { ETag: etagOf(to) })
  })

  app.post('/users', async (c) => {
    const body = await readJsonObject(c, MAX_BODY_BYTES)
    if (body instanceof Response) return body
    const wanted = readUser(body)
    if ('errors' in wanted) return breaksRule(wanted.errors)
    const user = { id: newId(), ...wanted, created_at: new Date(timers.now()).toISOString() }
    const outcome = await users.add(user)
    if (outcome === 'taken') return taken(conflictStatus)
    if (outcome === 'full') return problem(507, { type: 'users-full', detail: 'The demo holds no more users.' })
    return c.json(user, 201, { Location: `/users/${user.id}`, ETag: etagOf(user) })
  })
}

function taken(status: ConflictStatus): Response {
  const errors = [{ pointer: '#/email', detail: 'Use another email.' }]
  return problem(status, { type: 'email-taken', detail: 'A user with this email exists already.', errors })
}

function unknownUser(): Response {
  return problem(404, { detail: 'There is no user of this id.' })
}

function breaksRule(errors: readonly BodyError[]): Response {
  return problem(422, { type: 'invalid-body', detail: 'The user breaks a rule.', errors })
}

function changed(): Response {
  return problem(412, { type: 'user-changed', detail: 'The user is not as it was when you read it; read it again.' })
}

/** A strong entity tag (RFC 9110 section 8.8.3): another for every change. */
function etagOf(user: User): string {
  return `"${createHash('sha256').update(JSON.stringify(user)).digest('base64url').slice(0, 22)}"`
}

/** If-Match by strong comparison (RFC 9110 section 13.1.1): a weak tag matches nothing. */
function isMatch(field: string, etag: string): boolean {
  return field.trim() === '*' || field.split(',').some((tag) => tag.trim() === etag)
}

type WantedUser = { readonly email: string; readonly name: string | null }

/** The user that a body asks for, or all that is wrong with it. */
function readUser({ email, name = null }: JsonObject): WantedUser | { readonly errors: readonly BodyError[] } {
  const errors: BodyError[] = []
  const normalised = typeof email === 'string' ? normaliseEmail(email) : undefined
  if (email === undefined) errors.push({ pointer: '#/email', detail: 'Is missing; write "email": "ann@example.com".' })
  else if (normalised === undefined) errors.push({ pointer: '#/email', detail: 'Is no email; write ann@example.com.' })
  if (name !== null && (typeof name !== 'string' || name.length > MAX_NAME_LENGTH)) {
    errors.push({
      pointer: '#/name',
      detail: `Write a text of at most ${MAX_NAME_LENGTH} characters, or leave it out.`,
    })
  }
  if (normalised === undefined || errors.length > 0) return { errors }
  return { email: normalised, name: typeof name === 'string' ? name : null }
}
