import t, { type Test } from 'tap'
import { doneJob, queuedJob, runningJob } from '../../../src/demo/job.ts'
import { openStorage } from '../../../src/demo/storage/index.ts'
import type { Storage } from '../../../src/demo/storage/storage.ts'
import type { User } from '../../../src/demo/users.ts'
import { startRedis } from '../../fixtures/redis-server.ts'
import { createManualTimers } from '../manual-timers.ts'

const server = await startRedis()
t.teardown(() => server.stop())

type Place = { readonly redisUrl: string | undefined; readonly dataDir: string | undefined }

const places: Record<string, (t: Test) => Promise<Place>> = {
  memory: async () => ({ redisUrl: undefined, dataDir: undefined }),
  'a folder': async (t) => ({ redisUrl: undefined, dataDir: t.testdir({}) }),
  async Redis() {
    await server.cli('flushall')
    return { redisUrl: server.url, dataDir: undefined }
  },
}

for (const [name, prepare] of Object.entries(places)) {
  t.test(`storage in ${name} keeps its contract`, async (t) => {
    t.test('of many that race for one email exactly one is added', async (t) => {
      const { users } = await open(t, await prepare(t))
      const outcomes = await Promise.all(Array.from({ length: 50 }, (_, n) => users.add(user(`u${n}`, 'ann@a.io'))))
      t.equal(outcomes.filter((outcome) => outcome === 'added').length, 1)
      t.equal(outcomes.filter((outcome) => outcome === 'taken').length, 49)
      t.equal((await users.page({ page: 1, perPage: 5 })).total, 1)
    })

    t.test('a user is replaced only as it was read, and not by the email of another', async (t) => {
      const { users } = await open(t, await prepare(t))
      const [ann, bob] = [user('a', 'ann@a.io'), user('b', 'bob@a.io')]
      await users.add(ann)
      await users.add(bob)
      t.equal(await users.replace(ann, { ...ann, email: 'bob@a.io' }), 'taken')
      t.equal(await users.replace(ann, { ...ann, email: 'eve@a.io' }), 'replaced')
      t.equal(await users.replace(ann, { ...ann, name: 'late' }), 'changed')
      t.match(await users.get('a'), { email: 'eve@a.io', name: null })
      t.equal(await users.add(user('c', 'ann@a.io')), 'added', 'the old email is free')
      t.equal(await users.add(user('d', 'eve@a.io')), 'taken')
      t.equal(await users.replace(bob, { ...bob, name: 'Bob' }), 'replaced', 'its own email is no conflict')
    })

    t.test('beyond the bound there is no room for users', async (t) => {
      const { users } = await open(t, await prepare(t))
      for (let n = 0; n < 20; n++) await users.add(user(`u${n}`, `${n}@a.io`))
      t.equal(await users.add(user('late', 'late@a.io')), 'full')
      t.equal(await users.get('late'), undefined)
    })

    t.test('jobs are kept as they were saved last, the newest first, the first finished dropped', async (t) => {
      const { records } = await open(t, await prepare(t))
      const result = { reference: 'r', acted_at: '2026-01-01T00:00:00.000Z' }
      for (let n = 0; n < 10; n++) await records.save(queuedJob(`j${n}`, 'acme', 5, n))
      await records.save(runningJob(queuedJob('j1', 'acme', 5, 1), 1, 50))
      await records.save(doneJob(queuedJob('j2', 'acme', 5, 2), result, 60))
      t.match(await records.get('j1'), { state: 'running', attempts: 1 })
      const { total, entries } = await records.page({ page: 1, perPage: 3 })
      t.equal(total, 10)
      t.same(
        entries.map(({ id }) => id),
        ['j9', 'j8', 'j7'],
      )
      await records.save(queuedJob('j10', 'acme', 5, 10))
      await records.save(doneJob(queuedJob('j3', 'acme', 5, 3), result, 70))
      t.equal(await records.get('j2'), undefined)
      t.match(await records.get('j3'), { state: 'done' })
      await records.remove('j3')
      t.equal(await records.get('j3'), undefined)
      t.equal((await records.page({ page: 1, perPage: 3 })).total, 9)
    })

    t.test('of many that race for a key exactly one has it', async (t) => {
      const { keys } = await open(t, await prepare(t))
      const claims = await Promise.all(Array.from({ length: 20 }, (_, n) => keys.claim('k', `f${n}`)))
      const winner = claims.indexOf(undefined)
      t.equal(claims.filter((known) => known === undefined).length, 1)
      t.match(await keys.claim('k', 'other'), { fingerprint: `f${winner}`, answer: null })
      await keys.settle('k', { fingerprint: 'f', answer: { kind: 'job', id: 'j' } })
      t.match(await keys.claim('k', 'other'), { fingerprint: 'f', answer: { kind: 'job', id: 'j' } })
      await keys.release('k')
      t.equal(await keys.claim('k', 'other'), undefined)
    })

    if (name === 'memory') return
    t.test('what it keeps outlives it', async (t) => {
      const place = await prepare(t)
      const first = await open(t, place)
      const [ann, bob] = [user('a', 'ann@a.io'), user('b', 'bob@a.io')]
      await first.users.add(ann)
      await first.users.add(bob)
      await first.users.replace(ann, { ...ann, name: 'Ann' })
      await first.records.save(queuedJob('j', 'acme', 5, 0))
      await first.keys.settle('k', { fingerprint: 'f', answer: { kind: 'job', id: 'j' } })
      await first.close()
      const second = await open(t, place)
      t.match(await second.users.page({ page: 1, perPage: 5 }), { total: 2, entries: [{ id: 'b' }, { name: 'Ann' }] })
      t.equal(await second.users.add(user('c', 'ann@a.io')), 'taken')
      t.match(await second.records.get('j'), { state: 'queued' })
      t.match(await second.keys.claim('k', 'g'), { fingerprint: 'f' })
    })
  })
}

t.test('a folder is for one process at a time, and one that cannot be is told', async (t) => {
  const dataDir = t.testdir({ file: 'no folder' })
  await open(t, { redisUrl: undefined, dataDir })
  const message = `DEMO_DATA_DIR: '${dataDir}' cannot be opened: another process has it open; give each its own`
  await t.rejects(open(t, { redisUrl: undefined, dataDir }), { code: 'usage', message })
  await t.rejects(open(t, { redisUrl: undefined, dataDir: `${dataDir}/file` }), { code: 'usage' })
})

t.test('a Redis that is away is told, without its password', async (t) => {
  const gone = await startRedis()
  await gone.stop()
  const redisUrl = gone.url.replace('//', '//:secret@')
  const { users } = await open(t, { redisUrl, dataDir: undefined })
  const error = await users.add(user('a', 'a@a.io')).catch((cause: Error) => cause)
  t.match(error, {
    code: 'store_unavailable',
    message: /^the storage at redis:\/\/127\.0\.0\.1:\d+ is not available: .*; /,
  })
})

async function open(t: Test, place: Place): Promise<Storage> {
  const storage = await openStorage({ ...place, maxUsers: 20, maxJobs: 10, timers: createManualTimers() })
  t.teardown(() => storage.close())
  return storage
}

let seconds = 0
function user(id: string, email: string): User {
  return { id, email, name: null, created_at: new Date(1000 * ++seconds).toISOString() }
}
