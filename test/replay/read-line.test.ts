import t from 'tap'
import { readersOf } from '../../src/replay/formats/index.ts'
import { FORMATS, type Format, type LoggedRequest } from '../../src/replay/line.ts'
import { createLineReader } from '../../src/replay/read-line.ts'

const readLine = (line: string, format: Format | null) => createLineReader(format)(line)

/** What a line of another proxy tells. */
function told(line: string): LoggedRequest {
  const read = readLine(line, null)
  if (read.kind !== 'request') throw new Error(`${read.kind}: ${line}`)
  return read
}

const AT = Date.UTC(2000, 9, 10, 20, 55, 36) * 1000
const HEAD = '192.0.2.1 - alice [10/Oct/2000:13:55:36 -0700] "GET /a?b=c HTTP/1.1" 200 2326'

t.test('nginx and Apache', async (t) => {
  t.test('common and combined lines tell of address, time, request, referer and User-Agent', async (t) => {
    t.match(told(HEAD), {
      ...{ format: 'combined', timeUs: AT, stepUs: 1_000_000, method: 'GET', target: '/a?b=c', host: null, fields: [] },
      ...{ address: '192.0.2.1', forwardedFor: null, hasCredentials: false, hasAllFields: false },
    })
    const { fields } = told(`${HEAD} "https://example.com/" "Mozilla/5.0 (X11; Linux x86_64)"`)
    t.same(fields, ['referer', 'https://example.com/', 'user-agent', 'Mozilla/5.0 (X11; Linux x86_64)'])
  })

  t.test('the last field of nginx’s main format is X-Forwarded-For', async (t) => {
    t.equal(told(`${HEAD} "-" "curl/8" "198.51.100.1, 10.0.0.1"`).forwardedFor, '198.51.100.1, 10.0.0.1')
    t.equal(told(`${HEAD} "-" "curl/8" "-"`).forwardedFor, null)
  })

  t.test('a dash is a field that is missing, and an IPv6 client is one', async (t) => {
    const line = '2001:db8::1 - - [10/Oct/2000:13:55:36 -0700] "HEAD / HTTP/2.0" 304 - "-" "-"'
    t.match(told(line), { address: '2001:db8::1', method: 'HEAD', target: '/', fields: [] })
  })

  t.test('escapes are undone, and an escaped quote ends no field', async (t) => {
    const agent = (written: string) => told(`${HEAD} "-" "${written}"`).fields[1]
    t.equal(agent('a\\x22b\\x5Cc\\xE9'), 'a"b\\c\xe9')
    t.equal(agent('a\\"b\\\\'), 'a"b\\')
    t.equal(told(HEAD.replace('/a?b=c', '/\\x22')).target, '/"')
  })

  t.test('Traefik’s common format goes on behind it', async (t) => {
    const line = `10.0.0.1, 192.0.2.7 - - [10/Oct/2000:20:55:36 +0000] "GET /x HTTP/1.1" 200 5 "-" "curl/8" 17 "web@docker" "http://172.17.0.2:80" 3ms`
    t.match(told(line), { address: '10.0.0.1, 192.0.2.7', timeUs: AT, target: '/x', fields: ['user-agent', 'curl/8'] })
  })

  t.test('what was no request is told apart from what is no line', async (t) => {
    const kind = (line: string) => readLine(line, null).kind
    const request = (text: string) => `192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] "${text}" 400 0 "-" "-"`
    for (const text of ['-', '', '\\x16\\x03\\x01\\x02', 'GET /', 'get / HTTP/1.1'])
      t.equal(kind(request(text)), 'noRequest', text)
    for (const line of [
      ...['x', ' [', '1.2.3.4 - - [] "GET / HTTP/1.1" 200 1', '\0\xff\xfe', '[error] 1#1: *1 open() failed'],
      HEAD.replace('Oct', 'Okt'),
      HEAD.replace(' 200 2326', ''),
      HEAD.slice(0, 70),
    ]) {
      t.equal(kind(line), 'unreadable', line)
    }
  })
})

t.test('Envoy’s default format', async (t) => {
  const line =
    '[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80"'
  t.match(told(line), {
    ...{ format: 'envoy', timeUs: Date.UTC(2016, 3, 15, 20, 17, 0, 310) * 1000, method: 'POST', host: 'locations' },
    ...{ target: '/api/v1/locations', forwardedFor: '10.0.35.28', address: null, fields: ['user-agent', 'nsq2http'] },
  })
  const istio =
    '[2020-11-25T21:26:18.409Z] "GET /status/418 HTTP/1.1" 418 - via_upstream - "-" 0 135 3 1 "-" "curl/7.73.0-DEV" "84961386" "httpbin:8000" "127.0.0.1:80" inbound|8000|| 127.0.0.1:41854 10.44.1.27:80'
  t.match(told(istio), { host: 'httpbin:8000', forwardedFor: null, fields: ['user-agent', 'curl/7.73.0-DEV'] })
  t.equal(readLine('[2016-04-15T20:17:00.310Z] "- - -" 400 DPE 0 11 0 - "-" "-" "-" "-" "-"', null).kind, 'noRequest')
  t.equal(readLine('[2016-04-15T20:17:00.310Z] "GET / HTTP/2" 200', null).kind, 'unreadable')
})

t.test('Caddy', async (t) => {
  const line = {
    ...{ level: 'info', ts: 1646861401.5, logger: 'http.log.access.log0', msg: 'handled request' },
    request: {
      ...{ remote_ip: '10.0.0.1', remote_port: '41342', client_ip: '192.0.2.9', proto: 'HTTP/2.0', method: 'GET' },
      ...{ host: 'localhost', uri: '/ü?a' },
      headers: { 'User-Agent': ['curl/7.82.0'], 'Accept-Language': ['de'], Accept: ['*/*'], Cookie: ['REDACTED'] },
    },
    ...{ bytes_read: 0, user_id: '', duration: 0.5, size: 10900, status: 200, resp_headers: {} },
  }
  const latin1 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('latin1')
  t.match(told(latin1(line)), {
    ...{ format: 'caddy', timeUs: 1646861401000000, address: '192.0.2.9', host: 'localhost', target: '/\xc3\xbc?a' },
    ...{ hasAllFields: true, hasCredentials: false },
    fields: ['user-agent', 'curl/7.82.0', 'accept-language', 'de', 'accept', '*/*'],
  })
  const bare = { ...line, ts: '2022-03-09T21:30:01.524Z', request: { ...line.request, headers: {} } }
  t.match(told(latin1(bare)), { hasCredentials: true, timeUs: Date.UTC(2022, 2, 9, 21, 30, 1, 24) * 1000 })
  t.equal(readLine(latin1({ ...line, logger: 'tls.obtain' }), null).kind, 'other')
  t.equal(readLine(latin1({ ...line, request: null }), null).kind, 'unreadable')
  t.equal(readLine(latin1({ ...line, ts: 1e300 }), null).kind, 'unreadable')
})

t.test('Traefik', async (t) => {
  const line = {
    ...{ ClientAddr: '10.0.0.3:5000', ClientHost: '192.0.2.4', ClientPort: '5000', ClientUsername: '-' },
    ...{ DownstreamStatus: 200, Duration: 1500000, RequestAddr: 'api.example:443', RequestHost: 'api.example' },
    ...{ RequestMethod: 'GET', RequestPath: '/v1?x=1', RequestProtocol: 'HTTP/2.0' },
    ...{ StartUTC: '2026-11-01T10:00:00.123456789Z', level: 'info', msg: '', time: '2026-11-01T10:00:00Z' },
    ...{ 'request_User-Agent': 'curl/8', request_Authorization: 'REDACTED', 'downstream_Content-Type': 'text/plain' },
  }
  t.match(told(JSON.stringify(line)), {
    ...{ format: 'traefik', timeUs: Date.UTC(2026, 10, 1, 10) * 1000 + 123456, address: '192.0.2.4' },
    ...{ host: 'api.example', target: '/v1?x=1', fields: ['user-agent', 'curl/8'], hasCredentials: false },
  })
  t.equal(readLine(JSON.stringify({ ...line, RequestPath: 7 }), null).kind, 'unreadable')
})

t.test('our own', async (t) => {
  const id = 'AZuzutkdoRbV0vTWDdgIdQ'
  const line = {
    ...{ level: 30, time: '2026-11-22T19:10:16.487Z', request_id: 'r', route: 'default', key: id, tier: 'class' },
    ...{
      method: 'GET',
      outcome: 'limited',
      status: 429,
      duration_ms: 1.5,
      decision: 7,
      clock_us: 5,
      limits: ['device'],
    },
    ...{ verdict: 'limited', network: id, class: id, policy: 'p', msg: 'request' },
  }
  const kind = (changes: object) => readLine(JSON.stringify({ ...line, ...changes }), null).kind
  t.match(readLine(JSON.stringify(line), null), { kind: 'own', requestId: 'r', evidence: { decision: 7, clock_us: 5 } })
  t.equal(kind({ msg: 'listening' }), 'start')
  t.equal(kind({ msg: 'refused' }), 'other')
  t.equal(kind({ decision: undefined }), 'own')
  for (const changes of [
    ...[{ decision: -1 }, { clock_us: 1.5 }, { limits: 'device' }, { limits: [1] }, { network: 'short' }, { class: 3 }],
    ...[
      { parents: [id], factors: [] },
      { parents: ['x'] },
      { token: 'raw' },
      { principal: { id } },
      { device: { id } },
    ],
    ...[{ verdict: 'odd' }, { outcome: 'odd' }, { time: 'noon' }, { request_id: 7 }, { max_devices: 'many' }],
  ]) {
    t.equal(kind(changes), 'unreadable', JSON.stringify(changes))
  }
})

t.test('a format that is told is the only one that is read', async (t) => {
  t.equal(readLine(HEAD, 'combined').kind, 'request')
  t.equal(readLine(HEAD, 'caddy').kind, 'unreadable')
  t.equal(readLine(HEAD, 'envoy').kind, 'unreadable')
  t.equal(readLine('{"level":30,"time":"x","msg":"y"}', 'traefik').kind, 'unreadable')
})

t.test('no JSON breaks it', async (t) => {
  for (const line of ['{', '{}', '{"a":', '{"__proto__":null}', '{"level":"x","logger":"http.log.access"}', '{\xff}'])
    t.equal(readLine(line, null).kind, 'unreadable', line)
})

t.test('the name of the server may stand before the client, and a host name for it', async (t) => {
  const rest = '[10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 2326'
  const clientIn = (head: string) => {
    const { address, host } = told(`${head} ${rest}`)
    return [host, address]
  }
  t.same(clientIn('a.example:443 192.0.2.1 - -'), ['a.example:443', '192.0.2.1'])
  t.same(clientIn('a.example 2001:db8::1 - alice'), ['a.example', '2001:db8::1'])
  t.same(clientIn('a.example:80 host-1.isp.example - -'), ['a.example:80', 'host-1.isp.example'])
  t.same(clientIn('_ 192.0.2.1 - -'), [null, '192.0.2.1'])
  t.same(clientIn('host-1.isp.example - -'), [null, 'host-1.isp.example'])
  t.same(clientIn('host-1.isp.example ident alice'), [null, 'host-1.isp.example'])
  t.same(clientIn('192.0.2.1:5000 - -'), [null, '192.0.2.1:5000'])
  t.same(clientIn('192.0.2.1 - a [b c'), [null, '192.0.2.1'])
  t.same(clientIn('unix: - -'), [null, 'unix:'])
  t.same(clientIn('- - -'), [null, null])
  t.match(readLine(`;drop - - ${rest}`, null), {
    ...{ kind: 'unreadable', format: 'combined', found: 0 },
    reason: "at character 1: ';drop - -' does not begin with an address or a host name",
  })
})

t.test('Envoy as JSON, of Envoy Gateway and of Istio, behind what Kubernetes writes', async (t) => {
  const object = {
    ...{ ':authority': 'www.example.com', downstream_remote_address: '10.0.0.12:59292', method: 'GET' },
    ...{ protocol: 'HTTP/2', response_code: 200, start_time: '2025-12-31T16:37:40.479Z', 'user-agent': 'curl/8' },
    ...{ 'x-envoy-origin-path': '/assets/image.webp', 'x-forwarded-for': '192.0.2.9, 10.0.0.12' },
  }
  const line = JSON.stringify(object)
  const seen = {
    ...{
      format: 'envoy',
      timeUs: Date.UTC(2025, 11, 31, 16, 37, 40, 479) * 1000,
      method: 'GET',
      host: 'www.example.com',
    },
    ...{ target: '/assets/image.webp', fields: ['user-agent', 'curl/8'], address: null },
    forwardedFor: '192.0.2.9, 10.0.0.12',
  }
  t.match(told(line), seen)
  t.match(told(`2025-12-31T17:37:40.493035218+01:00 stdout F ${line}`), seen)
  t.match(told(JSON.stringify({ ...object, 'x-forwarded-for': null })), {
    address: '10.0.0.12:59292',
    forwardedFor: null,
  })
  const istio = {
    ...{
      start_time: '2025-12-31T16:37:40.479Z',
      method: 'GET',
      path: '/x',
      authority: 'a.example',
      response_code: 200,
    },
    ...{ protocol: 'HTTP/1.1', user_agent: 'curl/8', x_forwarded_for: '192.0.2.9' },
  }
  t.match(told(JSON.stringify(istio)), { target: '/x', host: 'a.example', forwardedFor: '192.0.2.9' })
  t.equal(readLine(JSON.stringify({ ...object, method: null }), null).kind, 'noRequest')
  t.match(readLine(`2025-12-31T17:37:40.493035218+01:00 stdout P ${line.slice(0, 50)}`, null), {
    ...{ kind: 'unreadable', reason: 'is a part of a line that was cut (CRI P)' },
  })
})

t.test('a line that none reads says which format came nearest, and where its reader stopped', async (t) => {
  const cases: [string, Format | null, RegExp][] = [
    ['', 'combined', /^at character 1: no address, then a time in brackets and a request in quotes$/],
    [
      HEAD.replace('Oct', 'October'),
      'combined',
      /^at character 20: '10\/October\/2000:13:55:36 -0700' is not a time as/,
    ],
    [HEAD.slice(0, 60), 'combined', /^at character 48: the quotes of the request do not end$/],
    [HEAD.replace(' 200', ''), 'combined', /^at character 69: no status and number of bytes, as 200 571$/],
    [
      '[2016-04-15T20:17:00.310Z] "GET / HTTP/2" 200',
      'envoy',
      /^at character 46: it ends before four fields in quotes/,
    ],
    ['[noon] "GET / HTTP/2" 200', 'combined', /^at character 1: no address/],
    ['{"level":"info","ts":1,"request":{}}', 'caddy', /^is JSON without logger$/],
    ['{"remote":"192.0.2.1","verb":"GET"}', null, /^is JSON of a kind that is not known$/],
    ['{"level":"info","logger":"http.log.access","ts":1}', 'caddy', /^'request' is not an object with method and uri$/],
    ['{"level":30', null, /^is no JSON object$/],
    [HEAD.replace('2000', '1900'), 'combined', /^its time is before 1970/],
  ]
  for (const [line, format, reason] of cases)
    t.match(readLine(line, null), { kind: 'unreadable', format, reason }, line)
})

t.test('each format that can be told has a reader', async (t) => {
  for (const format of FORMATS) {
    const { text, json } = readersOf(format)
    t.ok(text.length + json.length > 0, format)
  }
})
