import t from 'tap'
import { get, openClient } from '../fixtures/raw-client.ts'
import { ONCE, path, startThrough } from '../fixtures/through.ts'

/** What breaks lines, labels or terminals where it is written unescaped. */
const EVIL = ['"} 1\\n# HELP evil', '\\n', '{{7*7}}', '\x85\xa0', '"x"', "'; --", '<script>', '%0d%0aX: y', '\xff\xfe']

t.test('client strings never become label names or break a log line', async (t) => {
  const { url, adminUrl, lines, logged, idle } = await startThrough(t, { limits: [{ ...ONCE, match: path('/a/**') }] })
  const series = async () =>
    (await (await fetch(`${adminUrl}/metrics`)).text())
      .split('\n')
      .filter((line) => /^sluice_/.test(line))
      .map((line) => line.slice(0, line.lastIndexOf(' ')))
  const client = await openClient(t, url)
  client.write(get('/a/0'), get('/a/1'), get('/0'))
  for (let i = 0; i < 3; i++) await client.answer()
  await idle()
  const before = await series()
  let requests = 0
  for (const evil of EVIL) {
    const names = [
      'User-Agent',
      'Authorization',
      'X-Request-Id',
      'traceparent',
      'Origin',
      'X-Forwarded-For',
      'Cookie',
      'Referer',
    ]
    const target = `/a/${encodeURIComponent(Buffer.from(evil, 'latin1').toString())}`
    for (const line of [
      get(target, ...names.map((name) => `${name}: ${evil}`)),
      get(`/${'x'.repeat(requests)}?${target}`),
    ]) {
      client.write(line)
      await client.answer()
      requests++
    }
  }
  await idle()
  t.same(await series(), before, 'no series is added')
  for (const line of lines) {
    t.equal(line.trimEnd().split('\n').length, 1)
    t.type(JSON.parse(line), 'object')
    for (const evil of EVIL) t.notOk(line.includes(JSON.stringify(evil).slice(1, -1)), 'and none is in the log')
  }
  t.equal(logged('request').length, requests + 3)
})
