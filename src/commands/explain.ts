import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import type { BucketState } from '../admin/key-buckets.ts'
import { monotonicClock } from '../clock.ts'
import { SluiceError } from '../errors.ts'
import { describe, describeRefusal } from '../explain/describe.ts'
import { createExplain, type Explanation } from '../explain/explain.ts'
import { type Question, readFieldLine, readQuestion } from '../explain/question.ts'
import { createMembership } from '../identity/membership.ts'
import { defaultPolicy } from '../policy/parse.ts'
import { formatProblem } from '../policy/problem.ts'
import { readPolicy } from '../policy/read.ts'
import { createOrders } from '../proxy/orders.ts'
import type { Refusal } from '../proxy/recent-refusals.ts'
import { compileRules } from '../proxy/rules.ts'
import { createMemoryStore } from '../stores/memory.ts'
import type { CommandIo, ExitCode } from './command.ts'
import { unknownOption } from './usage.ts'

export type ExplainIo = CommandIo & { readonly input: AsyncIterable<Buffer | string> }

const USAGE = `usage: sluice explain [-c file | --admin url] [-X method] [-H 'Name: value']... [--from address] <path or URL>
       sluice explain [-c file | --admin url] --request <file.json or ->
       sluice explain --admin url <request id of a refusal>
  --json prints JSON; SLUICE_ADMIN_TOKEN is sent to the admin port
`

const OPTIONS = {
  config: { type: 'string', short: 'c' },
  admin: { type: 'string' },
  method: { type: 'string', short: 'X' },
  header: { type: 'string', short: 'H', multiple: true },
  from: { type: 'string' },
  request: { type: 'string' },
  json: { type: 'boolean' },
} as const

type Asked = { readonly question: Question } | { readonly requestId: string }

/**
 * `sluice explain`: what would become of a request, and why, by the policy of a file with nobody known and every bucket full, or by
 * a running proxy as it stands; or how a running proxy decided one of its last refusals. It charges nothing. Resolves with 0;
 * 1 where the policy has problems, or the proxy cannot say; throws `usage` for wrong usage.
 */
export async function explain(args: readonly string[], io: ExplainIo): Promise<ExitCode> {
  const { values, positionals } = readArguments(args)
  const asked = await readAsked(values, positionals, io)
  const print = (value: unknown, words: () => string) =>
    io.out(values.json ? `${JSON.stringify(value, null, 2)}\n` : words())

  if (values.admin !== undefined) {
    const answer = await ask(values.admin, asked, io)
    if (answer === null) return 1
    if ('question' in asked) print(answer, () => describe(answer as Explanation))
    else print(answer, () => describeRefused(answer as Refused))
    return 0
  }
  if ('requestId' in asked) {
    throw usage(
      `${asked.requestId} is neither a path nor a URL; a request id needs the proxy it was refused by: --admin http://127.0.0.1:8081`,
    )
  }
  const file = values.config ?? (io.env.SLUICE_CONFIG || null)
  const result = file === null ? defaultPolicy(io.env) : readPolicy(file, io.env)
  if (!result.ok) {
    for (const problem of result.problems) io.err(`${formatProblem(problem)}\n`)
    return 1
  }
  const { policy } = result
  const local = createMemoryStore({ maxBuckets: policy.store.maxBuckets, clock: monotonicClock })
  const rules = compileRules(policy, { wallMs: Date.now })
  const explainOffline = createExplain({
    rules: () => rules,
    membership: createMembership({ policy: policy.identity.admission }),
    via: null,
    orders: createOrders(),
    ...{ local, charge: null, roll: null, jwks: null, nowUs: monotonicClock.nowUs, wallMs: Date.now },
  })
  const explanation = await explainOffline(asked.question)
  print(explanation, () => describe(explanation))
  await local.close()
  return 0
}

type Values = ReturnType<typeof readArguments>['values']

function readArguments(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
  } catch (cause) {
    throw new SluiceError('usage', `${unknownOption(cause, 'explain', OPTIONS)}\n${USAGE.trimEnd()}`, { cause })
  }
}

async function readAsked(values: Values, positionals: readonly string[], io: ExplainIo): Promise<Asked> {
  const { request, method, header = [], from } = values
  if (request !== undefined) {
    if (positionals.length > 0 || method !== undefined || header.length > 0 || from !== undefined) {
      throw usage('--request has the whole request; leave the other flags and the path out')
    }
    return { question: readQuestion(await readJson(request, io)) }
  }
  const [what, ...more] = positionals
  if (what === undefined || more.length > 0) throw usage(`write one path, URL or request id\n${USAGE.trimEnd()}`)
  if (!/^(\/|\*$|https?:\/\/)/i.test(what)) return { requestId: what }
  const given = { url: what, headers: header.map(readFieldLine) }
  return {
    question: readQuestion({
      ...given,
      ...(method === undefined ? {} : { method }),
      ...(from === undefined ? {} : { from }),
    }),
  }
}

async function readJson(file: string, io: ExplainIo): Promise<unknown> {
  let written: string
  try {
    written = file === '-' ? await text(io.input) : readFileSync(file, 'utf8')
  } catch (cause) {
    throw usage(`--request: ${file} cannot be read (${(cause as Error).message}); write the name of a JSON file, or -`)
  }
  try {
    return JSON.parse(written)
  } catch (cause) {
    throw usage(`--request: ${file} is not JSON (${(cause as Error).message}); write {"url": "/path"}`)
  }
}

type Refused = { readonly refusal: Refusal; readonly now: { readonly buckets: readonly BucketState[] | null } }

/** Asks a running proxy; null, with the reason told, where it does not say. */
async function ask(admin: string, asked: Asked, { env, err }: ExplainIo): Promise<unknown> {
  let url: URL
  try {
    url = new URL('/api/explain', admin)
  } catch {
    throw usage(`--admin: '${admin}' is not a URL; write one such as http://127.0.0.1:8081`)
  }
  const token = env.SLUICE_ADMIN_TOKEN
  let answer: Response
  try {
    answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify(bodyOf(asked)),
      redirect: 'error',
    })
  } catch (cause) {
    const why = ((cause as Error).cause as Error | undefined)?.message ?? (cause as Error).message
    err(`sluice: ${url.origin} does not answer (${why}); is it the admin port of a running proxy?\n`)
    return null
  }
  const body = (await answer.json().catch(() => null)) as { readonly detail?: string } | null
  if (answer.ok) {
    if (isAnswer(body, asked)) return body
    err(`sluice: ${url.origin} does not answer as the admin port of a proxy of this version\n`)
    return null
  }
  const hint = answer.status === 401 ? ' Set SLUICE_ADMIN_TOKEN.' : ''
  err(`sluice: ${url.origin} says ${answer.status}: ${body?.detail ?? 'no explanation'}${hint}\n`)
  return null
}

function bodyOf(asked: Asked): object {
  if ('requestId' in asked) return { request_id: asked.requestId }
  const { method, target, from, fields } = asked.question
  return { method, url: target, from, headers: fields }
}

function isAnswer(body: unknown, asked: Asked): boolean {
  const members = 'requestId' in asked ? ['refusal', 'now'] : ['verdict', 'ruling', 'limits', 'fields']
  return typeof body === 'object' && body !== null && members.every((member) => member in body)
}

function describeRefused({ refusal, now }: Refused): string {
  if (now.buckets === null)
    return `${describeRefusal(refusal)}\nthe shared store is away: its buckets cannot be looked at\n`
  const lines = now.buckets.map(
    ({ limit, bucket, remaining, burst }) => `  ${limit}, ${bucket}: ${remaining} of ${burst}`,
  )
  return `${describeRefusal(refusal)}${lines.length === 0 ? '' : `\nits buckets now\n${lines.join('\n')}\n`}`
}

function usage(message: string): SluiceError {
  return new SluiceError('usage', message)
}
