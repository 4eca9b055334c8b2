import t from 'tap'
import { ask, get, openClient } from '../fixtures/raw-client.ts'
import { holdRefusals, ONCE, path, startThrough } from '../fixtures/through.ts'

t.test('Host missing, twice, invalid -> 400', async (t) => {
  await holdRefusals(t, [
    ['missing', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['empty', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 400],
    ['twice', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    ['twice, equal', 'GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n', 400],
    ['twice, in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    ['two in one', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n', 400],
    ['with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
    ['with userinfo', 'GET / HTTP/1.1\r\nHost: b@a\r\n\r\n', 400],
    ['with a space', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
    ['with a bad port', 'GET / HTTP/1.1\r\nHost: a:b\r\n\r\n', 400],
    ['with a bad escape', 'GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n', 400],
    ['with an escape', 'GET / HTTP/1.1\r\nHost: %61pi.example.com\r\n\r\n', 400],
    ['dots alone', 'GET / HTTP/1.1\r\nHost: ..\r\n\r\n', 400],
    ['an asterisk', 'GET / HTTP/1.1\r\nHost: *\r\n\r\n', 400],
    ['a list', 'GET / HTTP/1.1\r\nHost: a,b\r\n\r\n', 400],
    ['a port too large', 'GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n', 400],
    ['no port', 'GET / HTTP/1.1\r\nHost: a:\r\n\r\n', 400],
    ['half an IPv6 address', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', 400],
  ])
})

t.test('absolute-form replaces Host', async (t) => {
  const { url, upstream } = await startThrough(t, { limits: [{ ...ONCE, match: { ...path(), hosts: ['b.example'] } }] })
  const absolute = 'GET HTTP://b.example:80/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n'
  t.equal((await ask(t, url, absolute)).status, 200)
  const [seen] = upstream.seen
  t.equal(seen!.target, '/x?y')
  t.equal(seen!.one('host'), 'b.example:80')
  t.equal(seen!.one('x-forwarded-host'), 'b.example:80')
  t.equal((await ask(t, url, absolute)).status, 429, 'for the policy too')
})

t.test('a host has one spelling, for the policy and for the upstream', async (t) => {
  const limits = [{ ...ONCE, match: { ...path(), hosts: ['api.example.com'] } }]
  for (const [n, host] of ['api.example.com.', 'API.Example.com', 'api.example.com.:0080'].entries()) {
    const { url, upstream } = await startThrough(t, { limits })
    const port = n === 2 ? ':80' : ''
    t.equal((await ask(t, url, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status, 200)
    t.equal(upstream.seen[0]!.one('host'), `api.example.com${port}`)
    t.equal(upstream.seen[0]!.one('x-forwarded-host'), `api.example.com${port}`)
    t.equal((await ask(t, url, get().replace('Host: test', 'Host: api.example.com'))).status, 429, host)
  }
})

t.test('absolute-form malformed -> 400, never a crash', async (t) => {
  const cases = [
    'http://',
    'http:///a',
    'http:/a',
    'http:a',
    'http://u@a/',
    'http://a:b/',
    'http://[::1/',
    'http://%zz/',
    'http://%61/',
    'http://a:/',
    'http://a:99999/',
    'http://../',
    'http://*/',
    'http://a,b/',
  ]
  const others = ['ftp://a/', 'a', 'a:443', '//', '*', 'http://a/\\b', 'http://a/#b', 'http://a/%zz', 'http://a b/']
  await holdRefusals(
    t,
    [...cases, ...others.filter((target) => target !== '//')].map((target) => [
      target,
      `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`,
      400,
    ]),
  )
})

t.test('CONNECT 405, TRACE 405', async (t) => {
  await holdRefusals(t, [
    ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', 405],
    ['CONNECT with a path', 'CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['TRACE', 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', 405],
  ])
  const { url } = await startThrough(t)
  const client = await openClient(t, url)
  client.write('TRACE / HTTP/1.1\r\nHost: a\r\n\r\n')
  t.match((await client.answer()).one('allow'), 'GET')
})

t.test('a method that is none: 400', async (t) => {
  await holdRefusals(t, [
    ['no method', '/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['an unknown one', 'BREW / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['in lower case', 'get / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['behind a space', ' GET / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['a backslash', get('/a\\b'), 400],
    ['a fragment', get('/a#b'), 400],
    ['a NUL in the path', get('/a%00'), 400],
    ['a bad escape', get('/a%zz'), 400],
  ])
})
