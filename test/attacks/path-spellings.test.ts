import t from 'tap'
import { limitOf } from '../fixtures/policy.ts'
import { get, openClient } from '../fixtures/raw-client.ts'
import { denyEntry, exemptEntry, path, startThrough } from '../fixtures/through.ts'

/** What upstreams are known to serve for a target, by some reading or other; the lenient ones take all of them. */
const READINGS: Record<string, (path: string) => string> = {
  'as it stands': (path) => path,
  'decoded once': decode,
  'decoded, slashes collapsed': (path) => decode(path).replace(/\/+/g, '/'),
  'slashes collapsed': (path) => path.replace(/\/+/g, '/'),
  'decoded, dot segments resolved': (path) => resolve(decode(path)),
  'decoded, collapsed, resolved': (path) => resolve(decode(path).replace(/\/+/g, '/')),
  'without parameters': (path) => resolve(decode(path.replace(/;[^/]*/g, ''))),
  'backslashes as slashes': (path) => resolve(decode(path).replaceAll('\\', '/')),
  'letter case ignored': (path) => decode(path).toLowerCase(),
  'Windows names': (path) =>
    resolve(decode(path).replace(/[. ]+(?=\/|$)/g, (end) => (/^\.\.? *$/.test(end) ? end : ''))),
  'a route that ends at $': (path) => decode(path).replace(/\n$/, ''),
  'a URL parser': (path) => (URL.canParse(path, 'http://a') ? new URL(path, 'http://a').pathname : path),
}

/** All of them are /admin to one upstream or another. */
const SPELLINGS = [
  ...[
    '/admin',
    '/admin/',
    '/admin//',
    '//admin',
    '///admin',
    '/./admin',
    '/admin/.',
    '/admin/./',
    '/x/../admin',
    '/../admin',
  ],
  ...[
    '/%61dmin',
    '/%61%64%6d%69%6e',
    '/%2fadmin',
    '/%2Fadmin',
    '/admin%2f',
    '/x%2f..%2fadmin',
    '/x/%2e%2e/admin',
    '/x/.%2E/admin',
  ],
  ...['/%2e/admin', '//x/../admin', '/x/..%2fadmin', '/admin;a=b', '/admin;a=b/', '/;/admin', '/x/..;/admin'],
  ...[
    '/x%5c..%5cadmin',
    '/%5cadmin',
    '/%5Cadmin',
    '/admin%5c',
    '/a/b/../../admin',
    '/x/%2e%2e%2fadmin',
    '/admin?x',
    '/admin/?x=/y',
  ],
  ...['/Admin', '/ADMIN', '/%41dmin', '/aDmIn/', '/x/..%2FADMIN', '/ADMIN;x', '//y/ADMIN'],
  ...['/admin.', '/admin%2e', '/admin%20', '/admin%09', '/admin%0a', '/admin%0A/', '/ADMIN%20.', '/admin%20;x'],
  ...['//y/admin', '/admin/%2e', '/admin/x/..', '/admin/x/%2e%2e/'],
]

/** None of them is, to any. */
const OTHERS = [
  '/',
  '/adminx',
  '/xadmin',
  '/x/admin',
  '/admin.x',
  '/admin%20x',
  '/.admin',
  '/%2561dmin',
  '/x?/admin',
  '/admi',
  '/ADMIN/x/y',
  '/admin%3f',
]

/** Refused for what they might be. */
const MALFORMED = [
  '/admin\\',
  '\\admin',
  '/admin%00',
  '/admin%',
  '/admin%6',
  '/%zzadmin',
  '/admin#x',
  '/x\\..\\admin',
  '/admin%u0061',
]

t.test('no spelling of a path splits policy from upstream', async (t) => {
  async function served(policy: Parameters<typeof startThrough>[1], targets: readonly string[]) {
    const { url, upstream } = await startThrough(t, policy)
    const client = await openClient(t, url)
    const statuses = []
    for (const target of targets) {
      client.write(get(target))
      statuses.push([target, (await client.answer()).status])
    }
    return { statuses, targets: upstream.seen.map(({ target }) => target) }
  }
  const all = (status: number, targets: readonly string[]) => targets.map((target) => [target, status])

  t.test('denied in all of them', async (t) => {
    const { statuses, targets } = await served({ deny: [denyEntry({ match: path('/admin') })] }, SPELLINGS)
    t.same(statuses, all(403, SPELLINGS))
    t.same(targets, [])
  })

  t.test('limited in all of them, by one bucket', async (t) => {
    const limits = [limitOf({ rate: { tokens: 1, seconds: 3600 }, burst: 1, match: path('/admin') })]
    const { statuses, targets } = await served({ limits }, ['/admin', ...SPELLINGS])
    t.same(statuses, [['/admin', 200], ...all(429, SPELLINGS)])
    t.equal(targets.length, 1)
  })

  t.test('exempt in none but what is the path to every upstream', async (t) => {
    const limits = [limitOf({ rate: { tokens: 1, seconds: 3600 }, burst: 1 })]
    const { statuses } = await served({ limits, exempt: [exemptEntry({ match: path('/admin') })] }, [
      '/x',
      ...SPELLINGS,
    ])
    const exempted = statuses.slice(1).filter(([, status]) => status === 200)
    for (const [target] of exempted) {
      const forwarded = resolve(String(target).replace(/\?.*/, '').replace(/%2e/gi, '.'))
      for (const [name, reading] of Object.entries(READINGS))
        t.equal(reading(forwarded), '/admin', `${target}: ${name}`)
    }
    t.ok(exempted.some(([target]) => target === '/admin'))
  })

  t.test('what is another path stays one', async (t) => {
    const { statuses, targets } = await served({ deny: [denyEntry({ match: path('/admin') })] }, OTHERS)
    t.same(statuses, all(200, OTHERS))
    t.same(targets, OTHERS, 'and is forwarded as it was received')
  })

  t.test('what could be anything is 400', async (t) => {
    for (const target of MALFORMED) {
      const { url, upstream } = await startThrough(t)
      const client = await openClient(t, url)
      client.write(get(target))
      t.equal((await client.answer()).status, 400, target)
      t.equal(upstream.seen.length, 0)
    }
  })

  t.test('and whatever is forwarded past a deny list is served as denied by no reading', async (t) => {
    const pieces = [
      '/',
      '//',
      'admin',
      'x',
      '..',
      '.',
      '%2e',
      '%2f',
      '%5c',
      ';',
      ';y',
      '%61dmin',
      'dmin',
      'a',
      '%2e%2e',
      '?',
      '%25',
    ]
    const targets = Array.from({ length: 600 }, (_, i) => {
      // A fixed sequence, well mixed: the same spellings every time.
      const at = (k: number) => pieces[((i + 1) * 2654435761 * (k + 3) ** 2 + ((i * (k + 7)) >> 2)) % pieces.length]!
      return `/${Array.from({ length: 2 + (i % 6) }, (_, k) => at(k)).join('')}`
    })
    const result = await served({ deny: [denyEntry({ match: path('/admin') })] }, targets)
    t.ok(result.targets.length > 100, `${result.targets.length} of ${targets.length} pass`)
    for (const target of result.targets) {
      for (const [name, reading] of Object.entries(READINGS)) {
        const read = reading(target.replace(/\?.*/, ''))
        if (/^\/admin\/?$/.test(read)) t.fail(`${target} is ${read} to an upstream that reads it ${name}`)
      }
    }
  })
})

function decode(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** RFC 3986 section 5.2.4, written apart from ours. */
function resolve(path: string): string {
  const kept: string[] = []
  const segments = path.split('/').slice(1)
  segments.forEach((segment, i) => {
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
    if (i === segments.length - 1 && (segment === '.' || segment === '..')) kept.push('')
  })
  return `/${kept.join('/')}`
}
