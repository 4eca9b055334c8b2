import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import type { DenyEntry, ExemptEntry } from '../../src/policy/types.ts'
import { AMPLE, eventually, type PolicyChanges, startTestApp } from '../fixtures/app.ts'
import { EVERYTHING, limitOf } from '../fixtures/policy.ts'
import { ask, get, openClient, post, type RawAnswer } from '../fixtures/raw-client.ts'
import { ok, startUpstream, type Turn } from '../fixtures/upstream.ts'

/** One request, then a long wait. */
const ONCE = limitOf({ rate: { tokens: 1, seconds: 3600 }, burst: 1 })

async function startBoth(t: Test, changes: PolicyChanges = {}, script?: (turn: Turn) => void | Promise<void>) {
  const upstream = await startUpstream(t, script)
  const test = await startTestApp(t, { ...changes, upstream: { url: upstream.url, ...changes.upstream } })
  return { upstream, ...test }
}

function entry(changes: Partial<ExemptEntry> = {}): ExemptEntry {
  return { name: 'entry', cidr: [], match: EVERYTHING, until: null, reason: null, ...changes }
}

function deny(changes: Partial<DenyEntry> = {}): DenyEntry {
  return { ...entry(), status: 403, ...changes }
}

function path(...paths: readonly string[]) {
  return { ...EVERYTHING, paths }
}

function isProblem(t: Test, answer: RawAnswer, status: number): void {
  t.equal(answer.status, status)
  t.equal(answer.one('content-type'), 'application/problem+json')
  t.equal(answer.one('cache-control'), 'no-store')
  t.equal(answer.json.status, status)
  t.match(answer.json.request_id, /^[0-9a-f-]{36}$/)
  t.equal(answer.one('x-request-id'), answer.json.request_id)
}

t.test('each of the pipelined requests is limited by itself', async (t) => {
  const { url, upstream } = await startBoth(t, { limits: [limitOf({ burst: 3 })] })
  const client = await openClient(t, url)
  client.write(...Array.from({ length: 8 }, (_, i) => get(`/${i}`)))
  const statuses = []
  for (let i = 0; i < 8; i++) statuses.push((await client.answer()).status)
  t.same(statuses, [200, 200, 200, 429, 429, 429, 429, 429])
  t.equal(upstream.seen.length, 3)
})

t.test('what is hidden in a body is a body', async (t) => {
  const { url, upstream } = await startBoth(t, { limits: [limitOf({ burst: 2 })] })
  const client = await openClient(t, url)
  client.write(post('/a', get('/hidden')), get('/b'), get('/c'))
  for (const status of [200, 200, 429]) t.equal((await client.answer()).status, status)
  t.same(
    upstream.seen.map(({ target }) => target),
    ['/a', '/b'],
  )
})

t.test('devices of one address have their own allowances', async (t) => {
  const limits = [limitOf({ burst: 1, newcomers: { rate: { tokens: 100, seconds: 1 }, burst: 100 } })]
  const { url } = await startBoth(t, { limits })
  for (const agent of ['a', 'b']) t.equal((await ask(t, url, get('/', `User-Agent: ${agent}`))).status, 200)
  for (const agent of ['a', 'b']) t.equal((await ask(t, url, get('/', `User-Agent: ${agent}`))).status, 429)
})

t.test('the address that a trusted peer tells is whom the request counts for', async (t) => {
  const { url } = await startBoth(t, { limits: [ONCE], identity: { trustedProxies: ['127.0.0.1/32'] } })
  t.equal((await ask(t, url, get('/', 'X-Forwarded-For: 192.0.2.1'))).status, 200)
  t.equal((await ask(t, url, get('/', 'X-Forwarded-For: 192.0.2.2'))).status, 200)
  t.equal((await ask(t, url, get('/', 'X-Forwarded-For: 192.0.2.9, 192.0.2.1'))).status, 429, 'not the leftmost')
  const distrusting = await startBoth(t, { limits: [ONCE] })
  t.equal((await ask(t, distrusting.url, get('/', 'X-Forwarded-For: 192.0.2.1'))).status, 200)
  t.equal((await ask(t, distrusting.url, get('/', 'X-Forwarded-For: 192.0.2.2'))).status, 429, 'nor anybody’s word')
})

t.test('deny', async (t) => {
  t.test('answers with its status, and forwards nothing', async (t) => {
    const entries = [deny({ match: path('/admin/**') }), deny({ name: 'gone', match: path('/old'), status: 410 })]
    const { url, upstream } = await startBoth(t, { deny: entries })
    isProblem(t, await ask(t, url, get('/admin/x')), 403)
    isProblem(t, await ask(t, url, get('/old')), 410)
    t.equal((await ask(t, url, get('/'))).status, 200)
    t.equal(upstream.seen.length, 1)
  })

  t.test('holds for every spelling of a path', async (t) => {
    const { url, upstream } = await startBoth(t, { deny: [deny({ match: path('/admin/**') })] })
    for (const target of ['/admin/', '//admin', '/%61dmin/x', '/x/../admin', '/x/%2e%2e/admin', '/admin%2Fx']) {
      t.equal((await ask(t, url, get(target))).status, 403, target)
    }
    t.equal(upstream.seen.length, 0)
  })

  t.test('names addresses, and beats exempt', async (t) => {
    const addresses = { deny: [deny({ cidr: ['127.0.0.2/32'] })], exempt: [entry()] }
    const { url } = await startBoth(t, addresses)
    t.equal((await ask(t, url, get(), { localAddress: '127.0.0.2' })).status, 403)
    t.equal((await ask(t, url, get(), { localAddress: '127.0.0.3' })).status, 200)
  })

  t.test('charges nothing, and says nothing of limits', async (t) => {
    const { url } = await startBoth(t, { limits: [ONCE], deny: [deny({ match: path('/no') })] })
    const answer = await ask(t, url, get('/no', 'Origin: https://a.example'))
    t.equal(answer.one('ratelimit'), undefined)
    t.equal(answer.one('retry-after'), undefined)
    t.equal(answer.one('access-control-allow-origin'), '*')
    t.equal((await ask(t, url, get('/yes'))).status, 200)
  })

  t.test('ends when its time has passed', async (t) => {
    const { url } = await startBoth(t, { deny: [deny({ until: Date.now() - 1 })] })
    t.equal((await ask(t, url, get())).status, 200)
  })
})

t.test('exempt requests are neither limited nor counted, and get no rate fields', async (t) => {
  const { url } = await startBoth(t, { limits: [ONCE], exempt: [entry({ match: path('/health') })] })
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
    const { url, upstream } = await startBoth(t, { limits, ...keyed })
    const answer = await ask(t, url, get())
    isProblem(t, answer, 403)
    t.same(answer.json['violated-policies'], ['keyed'])
    t.equal((await ask(t, url, get('/', 'X-Api-Key: wrong'))).status, 403)
    t.equal((await ask(t, url, get('/', `X-Api-Key: ${key}`))).status, 200)
    t.equal(upstream.seen.length, 1)
  })

  t.test('skip: not limited; share: one bucket for all', async (t) => {
    const skipping = [limitOf({ per: 'principal', onMissing: 'skip', burst: 1 })]
    const skip = await startBoth(t, { limits: skipping, ...keyed })
    for (let i = 0; i < 3; i++) {
      const answer = await ask(t, skip.url, get())
      t.equal(answer.status, 200)
      t.equal(answer.one('ratelimit'), undefined)
    }
    const sharing = [limitOf({ per: 'principal', onMissing: 'share', burst: 1 })]
    const share = await startBoth(t, { limits: sharing, ...keyed })
    t.equal((await ask(t, share.url, get())).status, 200)
    t.equal((await ask(t, share.url, get(), { localAddress: '127.0.0.2' })).status, 429)
    t.equal((await ask(t, share.url, get('/', `X-Api-Key: ${key}`))).status, 200)
  })

  t.test('a key that comes twice is 400', async (t) => {
    const { url, upstream } = await startBoth(t, keyed)
    isProblem(t, await ask(t, url, get('/', `X-Api-Key: ${key}`, 'x-api-key: other')), 400)
    t.equal(upstream.seen.length, 0)
  })
})

t.test('shadow', async (t) => {
  t.test('a limit in shadow never refuses and shows nothing', async (t) => {
    const { url, metric, logged, idle } = await startBoth(t, { limits: [{ ...ONCE, mode: 'shadow' }] })
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
    const { url } = await startBoth(t, { limits: [{ ...ONCE, mode: 'shadow' }, limitOf({ name: 'other', burst: 2 })] })
    for (const status of [200, 200, 429]) {
      const answer = await ask(t, url, get())
      t.equal(answer.status, status)
      t.notMatch(`${answer.one('ratelimit')}${answer.one('ratelimit-policy')}`, 'device')
      if (status === 429) t.same(answer.json['violated-policies'], ['other'])
    }
  })

  t.test('global: neither limits nor deny lists refuse', async (t) => {
    const limits = [ONCE, limitOf({ name: 'keyed', per: 'principal', onMissing: 'deny' })]
    const { url, upstream } = await startBoth(t, { mode: 'shadow', limits, deny: [deny({ match: path('/no') })] })
    for (const target of ['/', '/', '/no']) {
      const answer = await ask(t, url, get(target))
      t.equal(answer.status, 200)
      t.equal(answer.one('ratelimit'), undefined)
      t.equal(answer.one('ratelimit-policy'), undefined)
    }
    t.equal(upstream.seen.length, 3)
  })
})

t.test('malformed requests are refused, and nothing of them reaches the upstream', async (t) => {
  const tooMany = Array.from({ length: 120 }, (_, i) => `X-${i}: 1`)
  const cases: readonly (readonly [name: string, bytes: string, status: number])[] = [
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 400],
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    ['two equal Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n', 400],
    ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
    ['a Host with userinfo', 'GET / HTTP/1.1\r\nHost: b@a\r\n\r\n', 400],
    ['two Hosts in one', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n', 400],
    ['two Authorizations', get('/', 'Authorization: a', 'authorization: b'), 400],
    ['an absolute form without an authority', 'GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['an absolute form with userinfo', 'GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['an absolute form with a bad port', 'GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['another scheme', 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['no slash', 'GET a HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['* but for OPTIONS', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['a backslash', get('/a\\b'), 400],
    ['a fragment', get('/a#b'), 400],
    ['a NUL in the path', get('/a%00'), 400],
    ['a bad escape', get('/a%zz'), 400],
    ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', 405],
    ['TRACE', 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['too many fields', get('/', ...tooMany), 431],
    ['a header too large', get('/', `X-Large: ${'x'.repeat(20_000)}`), 431],
    ['a target too long', get(`/${'x'.repeat(20_000)}`), 431],
    ['a space before the colon', get('/', 'X-A : b'), 400],
    ['a folded field', get('/', 'X-A: b\r\n c'), 400],
    ['a bare CR', get('/', 'X-A: b\rX-B: c'), 400],
    ['a NUL', get('/', 'X-A: b\0c'), 400],
    ['a name that is none', get('/', 'X(A): b'), 400],
    ['a length that is none', get('/', 'Content-Length: 5x'), 400],
    ['a negative length', get('/', 'Content-Length: -5'), 400],
    ['two lengths', get('/', 'Content-Length: 5', 'Content-Length: 6'), 400],
    ['a list of lengths', get('/', 'Content-Length: 5, 5'), 400],
    ['a length and chunks', get('/', 'Content-Length: 5', 'Transfer-Encoding: chunked'), 400],
    ['an unknown coding', get('/', 'Transfer-Encoding: gzip'), 400],
    ['chunked that is not last', get('/', 'Transfer-Encoding: chunked, gzip'), 400],
    ['an unknown version', 'GET / HTTP/9.9\r\nHost: a\r\n\r\n', 400],
    ['HTTP/2 with prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['no method', '/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['an unknown method', 'BREW / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['no HTTP', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400],
  ]
  const { url, upstream, metric, idle, logged } = await startBoth(t)
  for (const [name, bytes, status] of cases) {
    t.test(`${name}: ${status}`, async (t) => {
      const client = await openClient(t, url)
      client.write(bytes)
      const answer = await client.answer()
      isProblem(t, answer, status)
      t.equal(answer.one('connection'), 'close')
      client.write(get('/after'))
      await client.closed()
      t.equal(client.rest().length, 0, 'nothing comes after it')
      if (status === 405) t.match(answer.one('allow'), 'GET')
    })
  }
  t.test('each was counted and logged once', async (t) => {
    t.equal(upstream.seen.length, 0)
    await idle()
    t.equal(await metric('sluice_requests_total', { outcome: 'error' }), cases.length)
    t.equal(await metric('sluice_requests_total'), cases.length)
    t.equal(await metric('sluice_responses_total', { code: '431' }), 3)
    t.equal(logged('request').length, cases.length)
    t.equal((await ask(t, url, get())).status, 200, 'and the process goes on')
  })
})

t.test('max_headers and max_header_bytes are the policy’s', async (t) => {
  const { url } = await startBoth(t, { server: { maxHeaders: 5, maxHeaderBytes: 1000 } })
  t.equal((await ask(t, url, get('/', 'A: 1', 'B: 1', 'C: 1', 'D: 1'))).status, 200)
  t.equal((await ask(t, url, get('/', 'A: 1', 'B: 1', 'C: 1', 'D: 1', 'E: 1'))).status, 431)
  t.equal((await ask(t, url, get('/', `A: ${'x'.repeat(1000)}`))).status, 431)
})

t.test('time limits of the client', async (t) => {
  t.test('a header that does not end is 408', async (t) => {
    const { url, upstream, metric, idle } = await startBoth(t, { server: { headerTimeout: 300 } })
    const client = await openClient(t, url)
    client.write('GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ')
    const answer = await client.answer()
    isProblem(t, answer, 408)
    t.equal(answer.one('connection'), 'close')
    await client.closed()
    await idle()
    t.equal(upstream.seen.length, 0)
    t.equal(await metric('sluice_responses_total', { code: '408' }), 1)
  })

  t.test('a body that does not end is 408 as well, and counted once', async (t) => {
    const { url, metric, idle } = await startBoth(t, { server: { headerTimeout: 200, requestTimeout: 400 } })
    const client = await openClient(t, url)
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf')
    isProblem(t, await client.answer(), 408)
    await client.closed()
    await idle()
    t.equal(await metric('sluice_requests_total'), 1)
  })

  t.test('a connection that waits too long for its next request is closed', async (t) => {
    const { url, metric } = await startBoth(t, { server: { keepAliveTimeout: 200 } })
    const client = await openClient(t, url)
    client.write(get())
    await client.answer()
    t.equal((await client.closed()).error, null)
    t.equal(await metric('sluice_requests_total'), 1)
  })
})

t.test('connections that bring no request are not counted', async (t) => {
  const { url, metric, logged } = await startBoth(t)
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
  const { url, metric, idle } = await startBoth(t, {}, (turn) => void turns.push(turn))
  const client = await openClient(t, url)
  client.write(get())
  await eventually('it is under way', () => turns.length === 1)
  client.socket.end()
  await client.closed()
  await idle()
  await eventually('it is cancelled', () => turns[0]!.socket.destroyed)
  t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
})

t.test('a body that turns out to be malformed', async (t) => {
  const chunks = ['zz\r\nhello\r\n', '-5\r\nhello\r\n', '0x5\r\nhello\r\n', '5\r\nhelloworld\r\n', '5 \r\nhello\r\n']
  for (const chunk of [...chunks, '5;a="\n"\r\nhello\r\n', '5\nhello\r\n', `${'f'.repeat(20)}\r\nhello\r\n`]) {
    for (const before of ['', '3\r\nabc\r\n']) {
      const { url, upstream, metric, idle } = await startBoth(t)
      const client = await openClient(t, url)
      client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n', before, chunk, '0\r\n\r\n')
      client.write(get('/after'))
      const answer = await client.answer()
      isProblem(t, answer, 400)
      t.equal(answer.one('connection'), 'close')
      await client.closed()
      t.equal(client.rest().length, 0)
      await idle()
      t.notOk(
        upstream.seen.some(({ target, isWhole }) => target === '/after' || isWhole),
        chunk,
      )
      t.equal(await metric('sluice_requests_total'), 1)
      t.equal(await metric('sluice_requests_total', { outcome: 'error' }), 1)
    }
  }
})

t.test('a policy in force meanwhile is not that of a request under way', async (t) => {
  const turns: Turn[] = []
  const { app, url, policy } = await startBoth(t, { limits: [AMPLE] }, (turn) => void turns.push(turn))
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
