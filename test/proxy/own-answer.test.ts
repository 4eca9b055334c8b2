import { setTimeout as delay } from 'node:timers/promises'
import { parseList } from 'structured-headers'
import t, { type Test } from 'tap'
import { manualClock, type PolicyChanges, startTestApp } from '../fixtures/app.ts'
import { EVERYTHING, limitOf } from '../fixtures/policy.ts'
import { ask, get, openClient, post, type RawAnswer } from '../fixtures/raw-client.ts'
import { ok, startUpstream, type Turn } from '../fixtures/upstream.ts'

/** One request a second, two at once. */
const STRICT = limitOf({ rate: { tokens: 1, seconds: 1 }, burst: 2 })

async function startBoth(t: Test, changes: PolicyChanges = {}, script?: (turn: Turn) => void | Promise<void>) {
  const upstream = await startUpstream(t, script)
  const clock = manualClock()
  const test = await startTestApp(t, { limits: [STRICT], ...changes, upstream: { url: upstream.url } }, { clock })
  return { upstream, clock, ...test }
}

/** Uses up the burst, so that the next request is refused. */
async function spend(t: Test, url: string, times = 2): Promise<void> {
  for (let i = 0; i < times; i++) t.equal((await ask(t, url, get('/spend'))).status, 200)
}

t.test('a refusal is as it is promised', async (t) => {
  const limits = [limitOf({ rate: { tokens: 2, seconds: 15 }, burst: 3 })]
  const { url, upstream, clock } = await startBoth(t, { limits })
  await spend(t, url, 3)
  clock.advance(600)
  const answer = await ask(t, url, get('/more'))
  t.equal(answer.status, 429)
  t.equal(answer.reason, 'Too Many Requests')
  t.same(
    answer.fields.filter(([name]) => name !== 'X-Request-Id' && name !== 'Date'),
    [
      ['Content-Type', 'application/problem+json'],
      ['Content-Length', String(answer.body.length)],
      ['Cache-Control', 'no-store'],
      ['Retry-After', '7'],
      ['RateLimit-Policy', '"device";q=3;w=23'],
      ['RateLimit', '"device";r=0;t=7'],
      ['Vary', 'Accept'],
      ['Connection', 'keep-alive'],
      ['Keep-Alive', 'timeout=65'],
    ],
  )
  const { detail, request_id, ...rest } = answer.json
  t.same(rest, {
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Too Many Requests',
    status: 429,
    'violated-policies': ['device'],
  })
  t.match(detail, /"device".*7 s/)
  t.match(request_id, /^[0-9a-f-]{36}$/)
  t.equal(answer.one('x-request-id'), request_id)
  t.equal(upstream.seen.length, 3, 'and does not reach the upstream')
})

t.test('waiting exactly Retry-After is enough, and no second less is told', async (t) => {
  for (const rate of [
    { tokens: 1, seconds: 1 },
    { tokens: 7, seconds: 60 },
    { tokens: 3, seconds: 3600 },
    { tokens: 1000, seconds: 1 },
  ]) {
    const { url, clock } = await startBoth(t, { limits: [limitOf({ rate, burst: 1 })] })
    await spend(t, url, 1)
    clock.advance(0.2)
    const refused = await ask(t, url, get())
    t.equal(refused.status, 429)
    const seconds = Number(refused.one('retry-after'))
    t.ok(Number.isInteger(seconds) && seconds >= 1, `${seconds}`)
    t.ok((seconds - 1) * 1000 <= (rate.seconds / rate.tokens) * 1000, 'it is the next whole second')
    if (seconds > 1) {
      clock.advance((seconds - 1) * 1000)
      t.equal((await ask(t, url, get())).status, 429, 'a second earlier is too early')
      clock.advance(1000)
    } else clock.advance(1000)
    t.equal((await ask(t, url, get())).status, 200)
  }
})

t.test('a refused request costs nothing', async (t) => {
  const { url, clock } = await startBoth(t)
  await spend(t, url)
  for (let i = 0; i < 50; i++) await ask(t, url, get())
  clock.advance(1000)
  t.equal((await ask(t, url, get())).status, 200)
  t.equal((await ask(t, url, get())).status, 429)
})

t.test('the longest wait among the refusing limits is told, all of them are named', async (t) => {
  const limits = [
    limitOf({ name: 'second', per: 'network', rate: { tokens: 1, seconds: 1 }, burst: 1 }),
    limitOf({ name: 'minute', per: 'network', rate: { tokens: 1, seconds: 60 }, burst: 1 }),
    limitOf({ name: 'day', per: 'network', rate: { tokens: 1000, seconds: 86_400 }, burst: 1000 }),
    limitOf({ name: 'quiet', per: 'network', rate: { tokens: 1, seconds: 60 }, burst: 1, headers: false }),
  ]
  const { url, clock } = await startBoth(t, { limits })
  await spend(t, url, 1)
  const refused = await ask(t, url, get())
  t.equal(refused.one('retry-after'), '60')
  t.same(refused.json['violated-policies'], ['second', 'minute', 'quiet'])
  t.equal(refused.one('ratelimit'), '"minute";r=0;t=60')
  t.equal(refused.one('ratelimit-policy'), '"second";q=1;w=1, "minute";q=1;w=60, "day";q=1000;w=86400')
  clock.advance(60_000)
  t.equal((await ask(t, url, get())).status, 200)
})

t.test('jitter only lengthens the wait', async (t) => {
  const upstream = await startUpstream(t)
  let chance = 0
  const limits = [limitOf({ rate: { tokens: 1, seconds: 10 }, burst: 1 })]
  const { url } = await startTestApp(
    t,
    { limits, upstream: { url: upstream.url }, refuse: { retryJitter: 0.5 } },
    { clock: manualClock(), random: () => chance },
  )
  await spend(t, url, 1)
  t.equal((await ask(t, url, get())).one('retry-after'), '10')
  chance = 0.999
  const late = await ask(t, url, get())
  t.equal(late.one('retry-after'), '15')
  t.equal(late.one('ratelimit'), '"device";r=0;t=10')
})

t.test('HEAD gets the fields and no body', async (t) => {
  const { url } = await startBoth(t)
  await spend(t, url)
  const client = await openClient(t, url)
  client.write('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n')
  const answer = await client.answer('HEAD')
  t.equal(answer.status, 429)
  t.ok(answer.one('retry-after'))
  t.ok(Number(answer.one('content-length')) > 0)
  client.write(get())
  t.equal((await client.answer()).status, 429)
  t.equal(client.rest().length, 0)
})

t.test('the body is replaced where the policy has one', async (t) => {
  const body = { text: '<p>{{limit}}: {{retry_after}} / {{retry_after}}</p>é', type: 'text/html; charset=utf-8' }
  const { url } = await startBoth(t, { refuse: { body } })
  await spend(t, url)
  const answer = await ask(t, url, get())
  t.equal(answer.one('content-type'), body.type)
  t.equal(answer.text, '<p>device: 1 / 1</p>é')
  t.equal(answer.status, 429)
  t.ok(answer.isWhole)
})

t.test('legacy fields by setting', async (t) => {
  for (const legacyHeaders of ['delta', 'epoch'] as const) {
    const { url } = await startBoth(t, { refuse: { legacyHeaders } })
    const now = Date.now() / 1000
    const first = await ask(t, url, get())
    t.equal(first.one('x-ratelimit-limit'), '2')
    t.equal(first.one('x-ratelimit-remaining'), '1')
    await ask(t, url, get())
    const refused = await ask(t, url, get())
    t.equal(refused.one('x-ratelimit-remaining'), '0')
    const reset = Number(refused.one('x-ratelimit-reset'))
    if (legacyHeaders === 'delta') t.equal(reset, 1)
    else t.ok(reset >= now + 1 && reset < now + 10, `${reset}`)
  }
  const { url } = await startBoth(t)
  t.equal((await ask(t, url, get())).one('x-ratelimit-limit'), undefined)
})

t.test('browsers may read it', async (t) => {
  function cors(answer: RawAnswer) {
    // `Vary: Accept` stands on every answer of our own.
    return answer.fields.filter(([name, value]) => /^(access-control|vary)/i.test(name) && value !== 'Accept')
  }
  const exposed =
    'RateLimit, RateLimit-Policy, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset'

  t.test('of any origin, without credentials, where the policy says *', async (t) => {
    const { url } = await startBoth(t)
    await spend(t, url)
    t.same(cors(await ask(t, url, get('/', 'Origin: https://a.example'))), [
      ['Access-Control-Allow-Origin', '*'],
      ['Access-Control-Expose-Headers', exposed],
    ])
    t.same(cors(await ask(t, url, get())), [])
  })

  t.test('of listed origins only, with credentials', async (t) => {
    const { url } = await startBoth(t, { refuse: { cors: { origins: ['https://a.example'] } } })
    await spend(t, url)
    t.same(cors(await ask(t, url, get('/', 'Origin: https://a.example'))), [
      ['Access-Control-Allow-Origin', 'https://a.example'],
      ['Access-Control-Allow-Credentials', 'true'],
      ['Vary', 'Origin'],
      ['Access-Control-Expose-Headers', exposed],
    ])
    t.same(cors(await ask(t, url, get('/', 'Origin: https://b.example'))), [['Vary', 'Origin']])
    t.same(cors(await ask(t, url, get('/', 'Origin: null'))), [['Vary', 'Origin']])
  })

  t.test('and the upstream’s own answers are left alone', async (t) => {
    const { url } = await startBoth(t)
    t.same(cors(await ask(t, url, get('/', 'Origin: https://a.example'))), [])
  })
})

t.test('preflights', async (t) => {
  const preflight = [
    'OPTIONS /a HTTP/1.1',
    'Host: a',
    'Origin: https://a.example',
    'Access-Control-Request-Method: PUT',
    '',
    '',
  ].join('\r\n')

  t.test('have an allowance of their own, as large as that of requests', async (t) => {
    const { url, upstream, metric } = await startBoth(t)
    await spend(t, url)
    for (const status of [200, 200, 429, 429]) t.equal((await ask(t, url, preflight)).status, status)
    t.equal(upstream.seen.filter(({ method }) => method === 'OPTIONS').length, 2)
    t.equal(await metric('sluice_limit_decisions_total', { limit: 'preflight', outcome: 'allowed' }), 2)
    t.equal(await metric('sluice_limit_decisions_total', { limit: 'preflight', outcome: 'limited' }), 2)
  })

  t.test('spend nothing of the allowance of requests', async (t) => {
    const { url } = await startBoth(t)
    for (let i = 0; i < 5; i++) await ask(t, url, preflight)
    for (const status of [200, 200, 429]) {
      t.equal((await ask(t, url, preflight.replace('OPTIONS', 'GET'))).status, status)
    }
  })

  t.test(
    'a page that makes 60 calls of another origin, a preflight before each, is within a burst of 60',
    async (t) => {
      const { url } = await startBoth(t, { limits: [limitOf({ rate: { tokens: 1, seconds: 60 }, burst: 60 })] })
      for (let i = 0; i < 60; i++) {
        t.equal((await ask(t, url, preflight)).status, 200)
        t.equal((await ask(t, url, preflight.replace('OPTIONS', 'PUT'))).status, 200)
      }
    },
  )

  t.test('only when they are ones', async (t) => {
    const { url } = await startBoth(t)
    await spend(t, url)
    t.equal((await ask(t, url, 'OPTIONS /a HTTP/1.1\r\nHost: a\r\n\r\n')).status, 429)
    t.equal((await ask(t, url, preflight.replace('Origin', 'X-Origin'))).status, 429)
    t.equal((await ask(t, url, preflight.replace('Access-Control-Request-Method', 'X'))).status, 429)
    t.equal((await ask(t, url, preflight.replace('OPTIONS', 'GET'))).status, 429)
    t.equal((await ask(t, url, preflight.replace('PUT', 'no method'))).status, 429)
    for (const name of ['Origin', 'Access-Control-Request-Method']) {
      t.equal((await ask(t, url, preflight.replace('Host: a', `Host: a\r\nConnection: ${name}`))).status, 429, name)
    }
  })

  t.test('and where the policy says so', async (t) => {
    const { url } = await startBoth(t, { exemptPreflight: false })
    for (const status of [200, 200, 429]) t.equal((await ask(t, url, preflight)).status, status)
  })
})

t.test('Expect: 100-continue', async (t) => {
  const expecting = 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'

  t.test('is answered by the refusal, and the connection closes: the body may come or not', async (t) => {
    const { url, upstream } = await startBoth(t)
    await spend(t, url)
    for (const follow of ['', 'hello', get('/smuggled')]) {
      const client = await openClient(t, url)
      client.write(expecting)
      const answer = await client.answer()
      t.equal(answer.status, 429, 'no 100 comes before it')
      t.equal(answer.one('connection'), 'close')
      client.write(follow)
      await client.closed()
      t.equal(client.rest().length, 0)
    }
    t.equal(upstream.seen.length, 2)
  })

  t.test('is invited when the request is admitted, then forwarded', async (t) => {
    const { url, upstream } = await startBoth(t)
    const client = await openClient(t, url)
    client.write(expecting)
    t.equal((await client.answer()).status, 100)
    client.write('hello')
    t.equal((await client.answer()).status, 200)
    t.equal(upstream.seen[0]!.body.toString(), 'hello')
    t.same(upstream.seen[0]!.all('expect'), [])
    client.write(get())
    t.equal((await client.answer()).status, 200, 'the connection goes on')
  })

  t.test('of anything else is 417', async (t) => {
    const { url, upstream } = await startBoth(t)
    const answer = await ask(t, url, get('/', 'Expect: miracles'))
    t.equal(answer.status, 417)
    t.equal(answer.one('content-type'), 'application/problem+json')
    t.equal(upstream.seen.length, 0)
  })
})

t.test('the connection of a refused request', async (t) => {
  t.test('goes on, in sync, when its body is small', async (t) => {
    const { url, upstream } = await startBoth(t)
    await spend(t, url)
    const client = await openClient(t, url)
    const hidden = get('/hidden')
    for (const size of [0, 1, 1000, 60_000]) {
      client.write(post('/a', hidden.repeat(size / 50 + 1).slice(0, size)))
      const answer = await client.answer()
      t.equal(answer.status, 429, `${size} bytes`)
      t.not(answer.one('connection'), 'close')
    }
    client.write(get('/last'))
    t.equal((await client.answer()).status, 429)
    t.equal(upstream.seen.length, 2)
  })

  t.test('goes on when the body comes after the answer', async (t) => {
    const { url, clock } = await startBoth(t)
    await spend(t, url)
    const client = await openClient(t, url)
    client.write('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n')
    t.equal((await client.answer()).status, 429, 'the decision does not wait for it')
    clock.advance(5000)
    client.write('hello', get('/after'))
    const answer = await client.answer()
    t.equal(answer.status, 200)
    t.equal(client.rest().length, 0)
  })

  for (const [name, head] of [
    ['large', 'Content-Length: 5000000'],
    ['of unknown length', 'Transfer-Encoding: chunked'],
  ]) {
    t.test(`closes when its body is ${name}, and what is in it reaches nobody`, async (t) => {
      const { url, upstream } = await startBoth(t)
      await spend(t, url)
      const client = await openClient(t, url)
      client.write(`POST /a HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n`)
      const answer = await client.answer()
      t.equal(answer.status, 429)
      t.equal(answer.one('connection'), 'close')
      client.write(get('/hidden'))
      await client.closed()
      t.equal(upstream.seen.length, 2)
    })
  }

  t.test('is not reset before a client that sends first and reads later has its answer', async (t) => {
    const { url } = await startBoth(t)
    await spend(t, url)
    const body = Buffer.alloc(5_000_000, 'x')
    for (let i = 0; i < 5; i++) {
      const client = await openClient(t, url)
      client.socket.pause()
      await new Promise<void>((resolve, reject) => {
        client.socket.once('error', reject)
        client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`)
        client.socket.write(body, () => resolve())
      })
      client.socket.resume()
      t.equal((await client.answer()).status, 429)
      t.equal((await client.closed()).error, null)
    }
  })

  t.test('serves nothing behind the request that closed it', async (t) => {
    const { url, upstream, idle } = await startBoth(t, { exempt: [exemptPath('/free')] })
    await spend(t, url)
    const client = await openClient(t, url)
    client.write('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n', 'x'.repeat(70_000), get('/free'))
    t.equal((await client.answer()).status, 429)
    await client.closed()
    t.equal(client.rest().length, 0)
    await idle()
    t.notOk(upstream.seen.some(({ target }) => target === '/free'))
  })
})

function exemptPath(path: string) {
  return { name: 'free', cidr: [], match: { ...EVERYTHING, paths: [path] }, until: null, reason: null }
}

t.test('the rate fields of forwarded answers', async (t) => {
  async function fieldsOf(t: Test, fields: readonly string[], request = get(), changes: PolicyChanges = {}) {
    const { url } = await startBoth(t, changes, ({ send }) => send(ok('ok', ...fields)))
    const answer = await ask(t, url, request)
    return { policy: answer.all('ratelimit-policy'), limit: answer.all('ratelimit'), answer }
  }

  t.test('tell what is left', async (t) => {
    const { policy, limit } = await fieldsOf(t, [])
    t.same(policy, ['"device";q=2;w=2'])
    t.same(limit, ['"device";r=1;t=1'])
  })

  t.test("stand after the upstream's own members", async (t) => {
    const own = ['RateLimit-Policy: "plan";q=10;w=1', 'RateLimit: "plan";r=3;t=1', 'RateLimit-Policy: "b";q=1;w=1']
    const { policy, limit } = await fieldsOf(t, own)
    t.same(
      parseList(policy.join(', ')).map(([name]) => name),
      ['plan', 'b', 'device'],
    )
    t.same(
      parseList(limit.join(', ')).map(([name]) => name),
      ['plan', 'device'],
    )
  })

  t.test('replace members of our names and of older drafts', async (t) => {
    const own = ['RateLimit: "device";r=99;t=1', 'RateLimit-Policy: 10;w=1', 'X-RateLimit-Limit: 5']
    const { policy, limit, answer } = await fieldsOf(t, own)
    t.same(policy, ['"device";q=2;w=2'])
    t.same(limit, ['"device";r=1;t=1'])
    t.equal(answer.one('x-ratelimit-limit'), '5', 'the legacy fields are not ours')
  })

  t.test('stay out of what a shared cache may keep', async (t) => {
    for (const field of ['Cache-Control: public', 'Cache-Control: max-age=60', 'Cache-Control: s-maxage=5']) {
      t.same((await fieldsOf(t, [field])).limit, [], field)
    }
    for (const field of ['Cache-Control: private, max-age=60', 'Cache-Control: no-store', 'X-Other: public']) {
      t.same((await fieldsOf(t, [field])).limit, ['"device";r=1;t=1'], field)
    }
    t.same((await fieldsOf(t, ['Cache-Control: public'], post('/', ''))).limit, ['"device";r=1;t=1'])
  })

  t.test('stand on answers of any status', async (t) => {
    const { url } = await startBoth(t, {}, ({ send }) => send('HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n'))
    t.equal((await ask(t, url, get())).one('ratelimit'), '"device";r=1;t=1')
  })

  t.test('are left out by a limit that does not show', async (t) => {
    const limits = [limitOf({ headers: false }), limitOf({ name: 'other', burst: 5 })]
    const shown = await fieldsOf(t, [], get(), { limits })
    t.same(shown.policy, ['"other";q=5;w=5'])
    const hidden = await fieldsOf(t, [], get(), { limits: [limitOf({ headers: false })] })
    t.same(hidden.policy, [])
    t.same(hidden.limit, [])
  })
})

t.test('the upstream’s own 429 passes untouched', async (t) => {
  const { url, metric, idle, logged } = await startBoth(t, {}, ({ send }) =>
    send('HTTP/1.1 429 Slow Down\r\nContent-Type: text/plain\r\nRetry-After: 99\r\nContent-Length: 4\r\n\r\nmine'),
  )
  const answer = await ask(t, url, get())
  t.equal(answer.status, 429)
  t.equal(answer.reason, 'Slow Down')
  t.equal(answer.one('retry-after'), '99')
  t.equal(answer.one('content-type'), 'text/plain')
  t.equal(answer.text, 'mine')
  await idle()
  t.equal(await metric('sluice_requests_total', { outcome: 'forwarded' }), 1)
  t.equal(await metric('sluice_requests_total', { outcome: 'limited' }), 0)
  t.equal(await metric('sluice_responses_total', { code: '429' }), 1)
  t.same(logged('refused'), [])
})

t.test('the decision is taken before the body is read', async (t) => {
  const { url, metric } = await startBoth(t)
  const first = await openClient(t, url)
  first.write('POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nh')
  while ((await metric('sluice_inflight_requests')) === 0) await delay(1)
  t.equal((await ask(t, url, get('/b'))).status, 200)
  t.equal((await ask(t, url, get('/c'))).status, 429, 'the slow upload has taken its token')
  first.write('ello')
  t.equal((await first.answer()).status, 200)
})
