import { SluiceError } from '../../errors.ts'
import { CLAIM_MS, type IdempotencyKeys, KEPT_MS, type KnownKey } from '../idempotency-keys.ts'
import { isFinished, type Job } from '../job.ts'
import type { JobRecords } from '../job-records.ts'
import type { Page, Slice } from '../paging.ts'
import { connectRedis, type RedisConnection } from '../redis-connection.ts'
import type { User, Users } from '../users.ts'
import { reasonOf, withoutSecrets } from '../with-timeout.ts'
import type { Storage } from './storage.ts'

type Ask = RedisConnection['ask']

export type RedisStorageOptions = { readonly url: string; readonly maxUsers: number; readonly maxJobs: number }

/** Jobs that nobody asked for again: also those whose message was lost with a queue. */
const JOB_MS = 7 * 24 * 3_600_000
const PREFIX = 'sluice-demo:'

/**
 * KEYS: the index of users, the user, the new email, the old email. ARGV: the id, the user as JSON, the bound, the time
 * of creation, the user as it must be ('' when it must not be there yet).
 * The email's key is what makes it unique, over all processes: it is set if it is not, or the user is not written.
 */
const WRITE_USER = `
local index, user, email, before = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if (redis.call('GET', user) or '') ~= ARGV[5] then return 'changed' end
if email ~= before then
  if redis.call('EXISTS', email) == 1 then return 'taken' end
  if before == user and redis.call('ZCARD', index) >= tonumber(ARGV[3]) then return 'full' end
  redis.call('SET', email, ARGV[1], 'NX')
  if before ~= user then redis.call('DEL', before) end
end
redis.call('SET', user, ARGV[2])
redis.call('ZADD', index, 'NX', ARGV[4], ARGV[1])
return 'written'
`

/** Users, jobs and keys in Redis, shared by all processes that use it. What needs it rejects while it is away. */
export function createRedisStorage({ url, maxUsers, maxJobs }: RedisStorageOptions): Storage {
  const connection = connectRedis(url)
  const ask: Ask = (call) =>
    connection.ask(call).catch((cause: unknown) => {
      const message = `the storage at ${withoutSecrets(url)} is not available: ${reasonOf(cause)}`
      throw new SluiceError('store_unavailable', `${message}; start it, or set DEMO_REDIS_URL`, { cause })
    })
  return {
    users: createUsers(ask, maxUsers),
    records: createRecords(ask, maxJobs),
    keys: createKeys(ask),
    close: async () => connection.close(),
  }
}

function createUsers(ask: Ask, maxUsers: number): Users {
  const index = `${PREFIX}users`
  const userKey = (id: string) => `${PREFIX}user:${id}`
  const emailKey = (email: string) => `${PREFIX}email:${email}`

  function write(from: User | undefined, to: User): Promise<unknown> {
    const user = userKey(to.id)
    // Without an email before it, the user's own key stands there: a name that no email has.
    const keys = [index, user, emailKey(to.email), from === undefined ? user : emailKey(from.email)]
    const mustBe = from === undefined ? '' : JSON.stringify(from)
    const values = [to.id, JSON.stringify(to), maxUsers, Date.parse(to.created_at), mustBe]
    return ask((redis) => redis.eval(WRITE_USER, keys.length, ...keys, ...values))
  }

  return {
    async add(user) {
      const outcome = await write(undefined, user)
      return outcome === 'taken' || outcome === 'full' ? outcome : 'added'
    },
    async replace(from, to) {
      const outcome = await write(from, to)
      return outcome === 'taken' || outcome === 'changed' ? outcome : 'replaced'
    },
    get: (id) => ask(async (redis) => parse<User>(await redis.get(userKey(id)))),
    page: (page) => readPage(ask, index, userKey, page),
  }
}

function createRecords(ask: Ask, maxJobs: number): JobRecords {
  const index = `${PREFIX}jobs`
  const finished = `${PREFIX}jobs:finished`
  const jobKey = (id: string) => `${PREFIX}job:${id}`

  function remove(id: string): Promise<void> {
    return ask(async (redis) => {
      await redis.multi().del(jobKey(id)).zrem(index, id).zrem(finished, id).exec()
    })
  }

  return {
    async save(job) {
      const write = await ask((redis) => {
        const steps = redis.multi().set(jobKey(job.id), JSON.stringify(job), 'PX', JOB_MS)
        steps.zadd(index, 'NX', Date.parse(job.created_at), job.id)
        if (job.finished_at !== null) steps.zadd(finished, 'NX', Date.parse(job.finished_at), job.id)
        return steps.zcard(index).exec()
      })
      const total = Number(write?.at(-1)?.[1])
      if (!isFinished(job) || total <= maxJobs) return
      const [first] = await ask((redis) => redis.zpopmin(finished, 1))
      if (first !== undefined) await remove(first)
    },
    get: (id) => ask(async (redis) => parse<Job>(await redis.get(jobKey(id)))),
    remove,
    page: (page) => readPage(ask, index, jobKey, page),
  }
}

function createKeys(ask: Ask): IdempotencyKeys {
  const keyOf = (key: string) => `${PREFIX}key:${key}`
  return {
    claim: (key, fingerprint) =>
      ask(async (redis) => {
        const claim = JSON.stringify({ fingerprint, answer: null })
        for (;;) {
          if ((await redis.set(keyOf(key), claim, 'PX', CLAIM_MS, 'NX')) !== null) return undefined
          const known = parse<KnownKey>(await redis.get(keyOf(key)))
          // Else it ended between the two.
          if (known !== undefined) return known
        }
      }),
    settle: (key, known) =>
      ask(async (redis) => void (await redis.set(keyOf(key), JSON.stringify(known), 'PX', KEPT_MS))),
    release: (key) => ask(async (redis) => void (await redis.del(keyOf(key)))),
  }
}

/** Newest first. What has expired is still in the index until somebody looks there. */
function readPage<T>(ask: Ask, index: string, keyOf: (id: string) => string, page: Page): Promise<Slice<T>> {
  return ask(async (redis) => {
    const first = (page.page - 1) * page.perPage
    const ids = await redis.zrevrange(index, first, first + page.perPage - 1)
    const texts = ids.length === 0 ? [] : await redis.mget(ids.map(keyOf))
    const gone = ids.filter((_id, place) => texts[place] === null)
    if (gone.length > 0) await redis.zrem(index, ...gone)
    const entries = texts.flatMap((text) => parse<T>(text) ?? [])
    return { total: await redis.zcard(index), entries }
  })
}

function parse<T>(text: string | null): T | undefined {
  return text === null ? undefined : (JSON.parse(text) as T)
}
