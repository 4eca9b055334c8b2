import t from 'tap'
import { limitOf } from '../fixtures/policy.ts'
import { holdOffender } from '../fixtures/random-keys.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { startThrough } from '../fixtures/through.ts'

/** A million of them: test/scale/random-keys.ts. */
t.test('100,000 random keys; eviction never refills an offender', (t) => holdOffender(t, 100_000))

t.test('integer-like keys, keys with delimiters, unicode, a megabyte', async (t) => {
  const names = [
    '0',
    '1',
    '4294967295',
    '-1',
    '1e3',
    'NaN',
    '__proto__',
    'constructor',
    'a:b',
    'a:b:c',
    'a{b}',
    'a\tb',
    'a"b',
    'é\xff',
  ]
  const { url, upstream } = await startThrough(t, {
    limits: [
      limitOf({
        burst: 1,
        rate: { tokens: 1, seconds: 3600 },
        newcomers: { rate: { tokens: 1000, seconds: 1 }, burst: 1000 },
      }),
    ],
    server: { maxHeaderBytes: 2 * 1024 * 1024 },
  })
  for (const name of [...names, 'x'.repeat(1024 * 1024), 'x'.repeat(1024 * 1024 + 1)]) {
    const shown = `${name.slice(0, 10)} (${name.length})`
    t.equal((await ask(t, url, get('/', `User-Agent: ${name}`))).status, 200, `${shown} is somebody`)
    t.equal((await ask(t, url, get('/', `User-Agent: ${name}`))).status, 429, `${shown} is one and the same`)
  }
  t.equal(upstream.seen.length, names.length + 2)
})
