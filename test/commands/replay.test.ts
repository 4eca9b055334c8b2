import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { replay } from '../../src/commands/replay.ts'
import { SluiceError } from '../../src/errors.ts'

const POLICY = 'version: 1\nlimits: [{name: device, per: device, rate: 60/min, burst: 5}]\n'
const TIGHT = 'version: 1\nlimits: [{name: device, per: device, rate: 60/min, burst: 2}]\n'

/** A line of the combined format, `second` seconds after noon. */
function line(
  second: number,
  changes: { address?: string; agent?: string; target?: string; method?: string } = {},
): string {
  const { address = '192.0.2.1', agent = 'curl/8', target = '/', method = 'GET' } = changes
  const time = new Date(Date.UTC(2026, 10, 1, 12, 0, second)).toISOString().slice(11, 19)
  return `${address} - - [01/Nov/2026:${time} +0000] "${method} ${target} HTTP/1.1" 200 1 "-" "${agent}"\n`
}

async function run(t: Test, files: Record<string, string | Buffer>, args: readonly string[], input = '') {
  const folder = t.testdir(files as Record<string, string>)
  const said = { out: '', err: '', progress: '' }
  const code = await replay(
    args.map((arg) => (arg in files || arg.startsWith('+') ? join(folder, arg.replace(/^\+/, '')) : arg)),
    {
      env: {},
      input: Readable.from([Buffer.from(input, 'latin1')]),
      progress: (text) => {
        said.progress += text
      },
      out: (text) => {
        said.out += text
      },
      err: (text) => {
        said.err += text
      },
    },
  )
  return { code, folder, ...said }
}

async function summarize(t: Test, files: Record<string, string | Buffer>, args: readonly string[], input = '') {
  const { out, code, err } = await run(t, files, [...args, '--json'], input)
  return { code, err, summary: JSON.parse(out) }
}

const burst = Array.from({ length: 10 }, () => line(0)).join('')

t.test('a burst is refused as the proxy would have refused it', async (t) => {
  const log = burst + line(1) + line(1) + line(0, { address: '192.0.2.2' })
  const { code, summary } = await summarize(t, { log, policy: POLICY }, ['log', '--policy', 'policy'])
  t.equal(code, 0)
  t.same(summary.policy.outcomes, { forwarded: 7, exempt: 0, limited: 6, denied: 0, error: 0 })
  const [limit] = summary.policy.limits
  t.match(limit, { name: 'device', per: 'device', applied: 13, requests: 6, clients: { count: 1, exact: true } })
  t.match(limit.first, { line: 6, time: '2026-11-01T12:00:00.000Z' })
  t.match(limit.worst, [{ key: /^[\w-]{22}$/, tier: 'class', requests: 6, share: 1 }])
  t.match(summary.log, { requests: 13, formats: { combined: 13 }, unreadable: { count: 0 } })
  t.same([summary.against, summary.difference, summary.own], [null, null, null])
})

t.test('a limit that another one kept from being charged counts the request as uncharged', async (t) => {
  const policy = POLICY.replace(']', ', {name: all, per: global, rate: 60/min, burst: 8}]')
  const files = { log: burst, policy }
  const { summary } = await summarize(t, files, ['log', '--policy', 'policy'])
  t.match(summary.policy.limits, [
    { name: 'device', applied: 10, requests: 5, uncharged: 0 },
    { name: 'all', applied: 10, requests: 0, uncharged: 5 },
  ])
  const { out } = await run(t, files, ['log', '--policy', 'policy'])
  t.match(out, /^limit +per +applied +charged +refused/m)
  t.match(out, /^all +global +10 +5 +0 /m)
})

t.test('two policies are told apart request by request', async (t) => {
  const files = { log: burst, policy: POLICY, tight: TIGHT }
  const { summary } = await summarize(t, files, ['log', '--policy', 'tight', '--against', 'policy'])
  t.match(summary.difference, { newly_refused: { requests: 3, share: 0.3 }, no_longer_refused: { requests: 0 } })
  t.equal(summary.difference.newly_refused.first.line, 3)
  const back = await summarize(t, files, ['log', '--policy', 'policy', '--against', 'tight'])
  t.match(back.summary.difference, { newly_refused: { requests: 0 }, no_longer_refused: { requests: 3 } })
})

t.test(
  '--fail-over ends with 1 when more would be refused, newly where there is a policy to hold it against',
  async (t) => {
    const files = { log: burst, policy: POLICY, tight: TIGHT }
    const code = async (...args: string[]) => (await run(t, files, ['log', '--policy', 'tight', ...args])).code
    t.equal(await code('--fail-over', '79.9%'), 1)
    t.equal(await code('--fail-over', '80%'), 0)
    t.equal(await code('--against', 'policy', '--fail-over', '29%'), 1)
    t.equal(await code('--against', 'policy', '--fail-over', '30%'), 0)
    t.equal(await code('--against', 'tight', '--fail-over', '0%'), 0)
    t.match(await run(t, files, ['log', '--policy', 'tight', '--fail-over', '1%']), {
      err: /80.00 % of the requests would be refused, more than 1.00 %/,
    })
  },
)

t.test('files may be gzipped, several, or standard input', async (t) => {
  const files = { 'log.gz': gzipSync(burst), log: burst, policy: POLICY }
  t.equal((await summarize(t, files, ['log.gz', '--policy', 'policy'])).summary.policy.outcomes.limited, 5)
  t.equal((await summarize(t, files, ['log', 'log.gz', '--policy', 'policy'])).summary.policy.outcomes.limited, 15)
  t.equal((await summarize(t, files, ['-', '--policy', 'policy'], burst.trimEnd())).summary.log.requests, 10)
})

t.test('garbage is counted and shown with its place; it breaks nothing', async (t) => {
  const garbage = `no line\n\x1b[31m\xff\xfe\0\n${'x'.repeat(1_000_000)}\n{"a":\n`
  const log = Buffer.from(`${garbage}${burst}${'y'.repeat(3_000_000)}`, 'latin1')
  const { summary } = await summarize(t, { policy: POLICY }, ['-', '--policy', 'policy'], log.toString('latin1'))
  t.equal(summary.log.unreadable.count, 5)
  t.same(
    summary.log.unreadable.first.map((one: { line: number }) => one.line),
    [1, 2, 3],
  )
  t.match(summary.log.unreadable.first[2], { text: '', reason: 'is longer than 256 KiB' })
  t.equal(summary.policy.outcomes.limited, 5)
  const { out } = await run(t, { policy: POLICY }, ['-', '--policy', 'policy'], `${garbage}${burst}`)
  t.match(out, '4 lines of 14 (28.57 %) could not be read, the first:')
  t.match(out, /^ {2}-:2: combined: at character 1: no address, .*\n {4}\\x1b\[31m\\xff\\xfe\\x00$/m)
  t.notMatch(out, /[^ -~\n]/)
})

const LOGS = new URL('../replay/logs/', import.meta.url)
const logOf = (name: string) => fileURLToPath(new URL(name, LOGS))
/** Each client passes once. */
const ONCE = 'version: 1\nlimits: [{name: device, per: network, rate: 1/h, burst: 1}]\n'

t.test('a log with the name of the server before the client is read', async (t) => {
  const { summary } = await summarize(t, { policy: ONCE }, [logOf('vhost-combined.log'), '--policy', 'policy'])
  t.match(summary.policy.outcomes, { forwarded: 5, limited: 1 })
  const byHost = `${ONCE}deny: [{name: b, match: {host: b.example}}]\n`
  const { summary: hosts } = await summarize(t, { policy: byHost }, [
    ...[logOf('vhost-combined.log'), '--policy', 'policy'],
  ])
  t.match(hosts.policy.outcomes, { forwarded: 5, denied: 1 })
})

t.test(
  'a client whose address was resolved to a host name is a client of its own, and the result says so',
  async (t) => {
    const log = readFileSync(logOf('host-names.log'), 'utf8')
    const { summary } = await summarize(t, { policy: ONCE, log: log + log }, ['log', '--policy', 'policy'])
    t.match(summary.policy.outcomes, { forwarded: 3, limited: 3 })
    t.match(summary.policy.refused.clients, { count: 3 })
    const { out } = await run(t, { policy: ONCE, log }, ['log', '--policy', 'policy'])
    t.match(out, /the address of 3 requests: their client is a host name: each name counts as one client/)
  },
)

t.test('a log without a request shows a line of it, and why it is none', async (t) => {
  t.match(await run(t, { policy: POLICY }, [logOf('tls-handshake.log'), '--policy', 'policy']), {
    code: 1,
    err: /no request found: its 1 line tell of connections without one; '\\x16\\x03\\x01' is no request line\n {2}\S+tls-handshake.log:1: 1.2.3.4 /,
  })
})

t.test('the log of Envoy Gateway is read, JSON and text, with what Kubernetes writes before each line', async (t) => {
  const { code, summary } = await summarize(t, { policy: ONCE }, [logOf('envoy-gateway.log'), '--policy', 'policy'])
  t.equal(code, 0)
  t.match(summary.log, { lines: 10, requests: 10, formats: { envoy: 10 }, unreadable: { count: 0 } })
})

t.test('a log of which too much cannot be read ends with 1', async (t) => {
  const log = `${'garbage\n'.repeat(13)}${line(0)}`
  const asked = ['log', '--policy', 'policy']
  t.match(await run(t, { log, policy: POLICY }, asked), {
    code: 1,
    out: /13 lines of 14 \(92.86 %\) could not be read, the first:/,
    err: 'sluice: 92.86 % of the lines could not be read, more than --max-unreadable 10.00 %',
  })
  t.equal((await run(t, { log, policy: POLICY }, [...asked, '--max-unreadable', '93%'])).code, 0)
  t.equal((await run(t, { log: `x\n${burst}`, policy: POLICY }, asked)).code, 0)
})

t.test('no share has more than six digits', async (t) => {
  const log = line(0) + line(0) + line(0)
  const files = { log, policy: TIGHT }
  const { out } = await run(t, files, ['log', '--policy', 'policy', '--json'])
  t.match(out, '"share": 0.333333,')
  const { err } = await run(t, files, ['log', '--policy', 'policy', '--fail-over', '0%'])
  t.match(err, 'sluice: 33.33 % of the requests would be refused, more than 0.00 %')
})

t.test('gzip is known by its bytes; what is no text is refused with what to do', async (t) => {
  const named = await summarize(t, { log: gzipSync(burst), policy: POLICY }, ['log', '--policy', 'policy'])
  t.equal(named.summary.log.requests, 10)
  const plain = await summarize(t, { 'log.gz': burst, policy: POLICY }, ['log.gz', '--policy', 'policy'])
  t.equal(plain.summary.log.requests, 10)
  const kinds: [string | Buffer, RegExp][] = [
    [
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1, 2]),
      /log: is compressed by zstd; write: zstd -dc <file> \| sluice replay -/,
    ],
    [Buffer.from(`\ufeff${burst}`, 'utf16le'), /log: is UTF-16; write: iconv/],
    [Buffer.alloc(100_000), /log: is binary, not text/],
  ]
  for (const [log, message] of kinds) {
    await t.rejects(run(t, { log, policy: POLICY }, ['log', '--policy', 'policy']), { code: 'log_unreadable', message })
  }
  await t.rejects(run(t, { policy: POLICY, folder: {} as never }, ['folder', '--policy', 'policy']), {
    code: 'log_unreadable',
    message: /folder: is a directory; write the names of access logs/,
  })
  const marked = await summarize(t, { log: `\ufeff${burst}`, policy: POLICY }, ['log', '--policy', 'policy'])
  t.match(marked.summary.log, { requests: 10, unreadable: { count: 0 } })
})

t.test('no bytes crash it', async (t) => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.constantFrom(
      ...[
        line(0),
        '{"level":30,',
        '"start_time":"x",',
        ' - - [',
        '] "',
        '"',
        '\\x',
        '\n',
        '2026-01-01T00:00:00Z stdout P ',
      ],
    ),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (pieces) => {
      try {
        const { code, out, err } = await run(t, { policy: POLICY }, ['-', '--policy', 'policy'], pieces.join(''))
        t.ok(code === 0 || (code === 1 && err !== ''))
        t.notMatch(out + err, /[^ -~\n]/)
      } catch (cause) {
        if (!(cause instanceof SluiceError)) throw cause
      }
    }),
    { seed: 15, numRuns: 200 },
  )
})

t.test('a line from the future neither locks the clock nor fills the buckets for good', async (t) => {
  const future = line(0).replace('2026', '2099')
  const log = burst + future + burst
  const { summary } = await summarize(t, { log, policy: POLICY }, ['log', '--policy', 'policy'])
  t.equal(summary.policy.outcomes.limited, 5 + 6)
  t.ok(summary.cannot_tell.some(({ what }: { what: string }) => /steps back/.test(what)))
})

t.test('it says what the log cannot tell, and leaves out the limits that hang on it', async (t) => {
  const policy = `version: 1
identity: {api_keys: {header: x-api-key, hashes_file: keys, enrolment: controlled}}
limits:
  - {name: device, per: device, rate: 60/min, burst: 5}
  - {name: customer, per: principal, on_missing: deny, rate: 1/s}
  - {name: tenant, per: [header:x-tenant], on_missing: share, rate: 1/s}
  - {name: agent, per: [header:user-agent, path:1], on_missing: share, rate: 1000/s}
  - {name: api, per: network, rate: 1/s, match: {host: api.example}}
  - {name: app, per: network, rate: 1/s, match: {header: {x-app: web}}}
`
  const log = burst + line(0, { method: 'OPTIONS' })
  const { summary } = await summarize(t, { log, policy, keys: '' }, ['log', '--policy', 'policy'])
  const whats = summary.cannot_tell.map(({ what, effect }: { what: string; effect: string }) => `${what}: ${effect}`)
  for (const pattern of [
    ...[/^Accept-Language \(not at all\)/, /^device cookies, tokens and API keys/, /^the time within a second/],
    ...[
      /^what limit 'customer' is keyed by: it was left out for 11 requests/,
      /^what limit 'tenant' is keyed by/,
      /^the host: 'api'/,
      /^other header fields: 'app'/,
    ],
    ...[/^which OPTIONS requests are preflights: 1 /, /^what clients would have done/],
  ]) {
    t.ok(
      whats.some((what: string) => pattern.test(what)),
      String(pattern),
    )
  }
  t.equal(summary.policy.outcomes.denied, 0)
})

t.test('a proxy that the policy trusts is looked through, another is suspected', async (t) => {
  const through = Array.from({ length: 1200 }, (_, i) =>
    line(i % 60, { address: '10.0.0.1' }).replace(/\n$/, ` "198.51.100.${i % 200}"\n`),
  ).join('')
  const trusting = `${POLICY}identity: {trusted_proxies: [10.0.0.0/8]}\n`
  const files = { log: through, policy: POLICY, trusting }
  const told = await summarize(t, files, ['log', '--policy', 'trusting'])
  t.ok(told.summary.policy.outcomes.limited < 600)
  const untold = await summarize(t, files, ['log', '--policy', 'policy'])
  t.ok(untold.summary.policy.outcomes.limited > 1000)
  const suspects = (summary: { cannot_tell: { what: string }[] }) =>
    summary.cannot_tell.some(({ what }) => /100 % of the requests come from one network/.test(what))
  t.equal(suspects(untold.summary), true)
  t.equal(suspects(told.summary), false)
})

t.test('--refusals writes a line for each refused request, --top says how many clients are named', async (t) => {
  const many = Array.from({ length: 40 }, (_, i) => line(0, { address: `192.0.2.${i % 4}` })).join('')
  const files = { log: many, policy: POLICY }
  const { folder } = await run(t, files, ['log', '--policy', 'policy', '--refusals', '+out'])
  const lines = readFileSync(join(folder, 'out'), 'utf8')
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text))
  t.equal(lines.length, 20)
  t.match(lines[0], { line: 21, outcome: 'limited', binding: 'device', tier: 'class', wait_ms: 1000 })
  const { out } = await run(t, files, ['log', '--policy', 'policy', '--top', '2'])
  t.equal(out.match(/ {2}[\w-]{22} {2}class/g)?.length, 2)
})

t.test('wrong usage and files that are not there are told', async (t) => {
  const wrong: [string[], RegExp][] = [
    [[], /no access log is given; write: sluice replay/],
    [['log', '--format', 'iis'], /'iis' is not a format; write combined, caddy, traefik, envoy, sluice/],
    [['log', '--fail-over', '0.1'], /'0.1' is not a share; write 0.1%/],
    [['log', '--fail-over', '101%'], /'101%' is not a share/],
    [['log', '--top', 'all'], /'all' is not a number of clients/],
    [['log', '--odd'], /--odd is not an option of sluice replay; write --policy, /],
  ]
  for (const [args, message] of wrong) {
    await t.rejects(run(t, { log: burst }, args), { code: 'usage', message }, args.join(' '))
  }
  await t.rejects(run(t, { policy: POLICY }, ['+gone', '--policy', 'policy']), { code: 'log_unreadable' })
  const broken = { 'log.gz': gzipSync(burst).subarray(0, 40), policy: POLICY }
  await t.rejects(run(t, broken, ['log.gz', '--policy', 'policy']), {
    code: 'log_unreadable',
    message: /unexpected end/,
  })
  await t.rejects(run(t, { log: burst }, ['log', '--policy', '+none']), SluiceError)
  t.match(await run(t, { log: burst, policy: 'version: 2\n' }, ['log', '--policy', 'policy']), {
    code: 1,
    err: /version: is not a version that is known/,
  })
  t.match(await run(t, { log: 'x\n', policy: POLICY }, ['log', '--policy', 'policy']), {
    code: 1,
    err: /no request found: 1 of its 1 line cannot be read; the nearest format is combined: at character 1: no address.*\n.*log:1: x\n/,
  })
  t.match(await run(t, { log: '', policy: POLICY }, ['log', '--policy', 'policy']), {
    code: 1,
    err: /no request found: it is empty/,
  })
})
