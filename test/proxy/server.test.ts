import { createHash } from 'node:crypto'
import t from 'tap'
import { AMPLE, eventually } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get, openClient } from '../fixtures/raw-client.ts'
import { denyEntry, exemptEntry, isProblem, ONCE, path, startThrough } from '../fixtures/through.ts'
import { ok, type Turn } from '../fixtures/upstream.ts'

t.test('devices of one address have their own allowances', async (t) => {
  const limits = [limitOf({ burst: 1, newcomers: { rate: { tokens: 100, seconds: 1 }, burst: 100 } })]
  const { url } = await startThrough(t, { limits })
  for (const agent of ['a', 'b']) t.equal((await ask(t, url, get('/', `User-Agent: ${agent}`))).status, 200)
  for (const agent of ['a', 'b']) t.equal((await ask(t, url, get('/', `User-Agent: ${agent}`))).status, 429)
})

t.test('the address that a trusted peer tells is whom the request counts for', async (t) => {
  const { url } = await startThrough(t, { limits: [ONCE], identity: { trustedProxies: ['127.0.0.1/32'] } })
  t.equal((await ask(t, url, get('/', 'X-Forwarded-For: 192.0.2.1'))).status, 200)
  t.equal((await ask(t, url, get('/', 'X-Forwarded-For: 192.0.2.2'))).status, 200)
  t.equal((await ask(t, url, get('/', 'X-Forwarded-For: 192.0.2.9, 192.0.2.1'))).status, 429, 'not the leftmost')
  const distrusting = await startThrough(t, { limits: [ONCE] })
  t.equal((await ask(t, distrusting.url, get('/', 'X-Forwarded-For: 192.0.2.1'))).status, 200)
  t.equal((await ask(t, distrusting.url, get('/', 'X-Forwarded-For: 192.0.2.2'))).status, 429, 'nor anybody’s word')
})

t.test('deny', async (t) => {
  t.test('answers with its status, and forwards nothing', async (t) => {
    const entries = [
      denyEntry({ match: path('/admin/**') }),
      denyEntry({ name: 'gone', match: path('/old'), status: 410 }),
    ]
    const { url, upstream } = await startThrough(t, { deny: entries })
    isProblem(t, await ask(t, url, get('/admin/x')), 403)
    isProblem(t, await ask(t, url, get('/old')), 410)
    t.equal((await ask(t, url, get('/'))).status, 200)
    t.equal(upstream.seen.length, 1)
  })

  t.test('holds for every spelling of a path', async (t) => {
    const { url, upstream } = await startThrough(t, { deny: [denyEntry({ match: path('/admin/**') })] })
    for (const target of ['/admin/', '//admin', '/%61dmin/x', '/x/../admin', '/x/%2e%2e/admin', '/admin%2Fx']) {
      t.equal((await ask(t, url, get(target))).status, 403, target)
    }
    t.equal(upstream.seen.length, 0)
  })

  t.test('names addresses, and beats exempt', async (t) => {
    const addresses = { deny: [denyEntry({ cidr: ['127.0.0.2/32'] })], exempt: [exemptEntry()] }
    const { url } = await startThrough(t, addresses)
    t.equal((await ask(t, url, get(), { localAddress: '127.0.0.2' })).status, 403)
    t.equal((await ask(t, url, get(), { localAddress: '127.0.0.3' })).status, 200)
  })

  t.test('charges nothing, and says nothing of limits', async (t) => {
    const { url } = await startThrough(t, { limits: [ONCE], deny: [denyEntry({ match: path('/no') })] })
    const answer = await ask(t, url, get('/no', 'Origin: https://a.example'))
    t.equal(answer.one('ratelimit'), undefined)
    t.equal(answer.one('retry-after'), undefined)
    t.equal(answer.one('access-control-allow-origin'), '*')
    t.equal((await ask(t, url, get('/yes'))).status, 200)
  })

  t.test('ends when its time has passed', async (t) => {
    const { url } = await startThrough(t, { deny: [denyEntry({ until: Date.now() - 1 })] })
    t.equal((await ask(t, url, get())).status, 200)
  })
})

t.test('exempt requests are neither limited nor counted, and get no rate fields', async (t) => {
  const { url } = await startThrough(t, { limits: [ONCE], exempt: [exemptEntry({ match: path('/health') })] })
  for (let i = 0; i < 3; i++) {
    const answer = await ask(t, url, get('/health'))
    t.equal(answer.status, 200)
    t.equal(answer.one('ratelimit'), undefined)
    t.equal(answer.one('ratelimit-policy'), undefined)
  }
  t.equal((await ask(t, url, get())).status, 200)
  t.equal((await ask(t, url, get())).status, 429)
  t.equal((await ask(t, url, get('/health'))).status, 200)
  t.equal((await ask(t, url, get('/%68ealth'))).status, 429, 'only as it is written')
})

t.test('on_missing', async (t) => {
  const key = 'the key'
  const apiKeys = {
    header: 'x-api-key',
    principals: new Map([[createHash('sha256').update(key).digest('hex'), 'shop']]),
    enrolment: 'controlled' as const,
  }
  const keyed = { identity: { apiKeys } }

  t.test('deny: 403 without the key, served with it', async (t) => {
    const limits = [limitOf({ name: 'keyed', per: 'principal', onMissing: 'deny', burst: 2 })]
    const { url, upstream } = await startThrough(t, { limits, ...keyed })
    const answer = await ask(t, url, get())
    isProblem(t, answer, 403)
    t.same(answer.json['violated-policies'], ['keyed'])
    t.equal((await ask(t, url, get('/', 'X-Api-Key: wrong'))).status, 403)
    t.equal((await ask(t, url, get('/', `X-Api-Key: ${key}`))).status, 200)
    t.equal(upstream.seen.length, 1)
  })

  t.test('skip: not limited; share: one bucket for all', async (t) => {
    const skipping = [limitOf({ per: 'principal', onMissing: 'skip', burst: 1 })]
    const skip = await startThrough(t, { limits: skipping, ...keyed })
    for (let i = 0; i < 3; i++) {
      const answer = await ask(t, skip.url, get())
      t.equal(answer.status, 200)
      t.equal(answer.one('ratelimit'), undefined)
    }
    const sharing = [limitOf({ per: 'principal', onMissing: 'share', burst: 1 })]
    const share = await startThrough(t, { limits: sharing, ...keyed })
    t.equal((await ask(t, share.url, get())).status, 200)
    t.equal((await ask(t, share.url, get(), { localAddress: '127.0.0.2' })).status, 429)
    t.equal((await ask(t, share.url, get('/', `X-Api-Key: ${key}`))).status, 200)
  })

  t.test('a key that comes twice is 400', async (t) => {
    const { url, upstream } = await startThrough(t, keyed)
    isProblem(t, await ask(t, url, get('/', `X-Api-Key: ${key}`, 'x-api-key: other')), 400)
    t.equal(upstream.seen.length, 0)
  })
})

t.test('shadow', async (t) => {
  t.test('a limit in shadow never refuses and shows nothing', async (t) => {
    const { url, metric, logged, idle } = await startThrough(t, { limits: [{ ...ONCE, mode: 'shadow' }] })
    for (let i = 0; i < 3; i++) {
      const answer = await ask(t, url, get())
      t.equal(answer.status, 200)
      t.same(
        answer.fields.filter(([name]) => /ratelimit|retry/i.test(name)),
        [],
      )
    }
    await idle()
    t.equal(await metric('sluice_limit_decisions_total', { outcome: 'would_limit' }), 2)
    t.equal(await metric('sluice_requests_total', { outcome: 'forwarded' }), 3)
    t.equal(logged('would limit').length, 2)
  })

  t.test('beside one that is enforced, which alone shows', async (t) => {
    const { url } = await startThrough(t, {
      limits: [{ ...ONCE, mode: 'shadow' }, limitOf({ name: 'other', burst: 2 })],
    })
    for (const status of [200, 200, 429]) {
      const answer = await ask(t, url, get())
      t.equal(answer.status, status)
      t.notMatch(`${answer.one('ratelimit')}${answer.one('ratelimit-policy')}`, 'device')
      if (status === 429) t.same(answer.json['violated-policies'], ['other'])
    }
  })

  t.test('global: neither limits nor deny lists refuse', async (t) => {
    const limits = [ONCE, limitOf({ name: 'keyed', per: 'principal', onMissing: 'deny' })]
    const { url, upstream } = await startThrough(t, {
      mode: 'shadow',
      limits,
      deny: [denyEntry({ match: path('/no') })],
    })
    for (const target of ['/', '/', '/no']) {
      const answer = await ask(t, url, get(target))
      t.equal(answer.status, 200)
      t.equal(answer.one('ratelimit'), undefined)
      t.equal(answer.one('ratelimit-policy'), undefined)
    }
    t.equal(upstream.seen.length, 3)
  })
})

t.test('a connection that waits too long for its next request is closed', async (t) => {
  const { url, metric } = await startThrough(t, { server: { keepAliveTimeout: 200 } })
  const client = await openClient(t, url)
  client.write(get())
  await client.answer()
  t.equal((await client.closed()).error, null)
  t.equal(await metric('sluice_requests_total'), 1)
})

t.test('connections that bring no request are not counted', async (t) => {
  const { url, metric, logged } = await startThrough(t)
  for (const leave of ['destroy', 'resetAndDestroy', 'end'] as const) {
    const client = await openClient(t, url)
    client.socket[leave]()
    await client.closed()
    const kept = await openClient(t, url)
    kept.write(get())
    await kept.answer()
    kept.socket[leave]()
    await kept.closed()
  }
  await eventually('three are counted', async () => (await metric('sluice_requests_total')) >= 3)
  t.equal(await metric('sluice_requests_total'), 3)
  t.equal(await metric('sluice_requests_total', { outcome: 'forwarded' }), 3)
  t.equal(logged('request').length, 3)
})

t.test('a client that closes its half has gone, as nginx takes it', async (t) => {
  const turns: Turn[] = []
  const { url, metric, idle } = await startThrough(t, {}, (turn) => void turns.push(turn))
  const client = await openClient(t, url)
  client.write(get())
  await eventually('it is under way', () => turns.length === 1)
  client.socket.end()
  await client.closed()
  await idle()
  await eventually('it is cancelled', () => turns[0]!.socket.destroyed)
  t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
})

t.test('a policy in force meanwhile is not that of a request under way', async (t) => {
  const turns: Turn[] = []
  const { app, url, policy } = await startThrough(t, { limits: [AMPLE] }, (turn) => void turns.push(turn))
  const client = await openClient(t, url)
  client.write(get())
  await eventually('it is under way', () => turns.length === 1)
  app.reload({ ...policy, hash: 'next', limits: [{ ...AMPLE, name: 'new' }] })
  turns[0]!.send(ok())
  t.match((await client.answer()).one('ratelimit'), '"device"')
  client.write(get())
  await eventually('it is under way', () => turns.length === 2)
  turns[1]!.send(ok())
  t.match((await client.answer()).one('ratelimit'), '"new"')
})
