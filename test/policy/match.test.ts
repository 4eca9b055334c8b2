import assert from 'node:assert/strict'
import type { IncomingHttpHeaders } from 'node:http'
import fc from 'fast-check'
import t from 'tap'
import { parseTarget } from '../../src/http/target.ts'
import { compileMatch, isEmptyMatch, type MatchSubject } from '../../src/policy/match.ts'
import { readPathPattern } from '../../src/policy/path-pattern.ts'
import type { Match, PathCase } from '../../src/policy/types.ts'
import { compileWildcard } from '../../src/policy/wildcard.ts'
import { EVERYTHING, READING } from '../fixtures/policy.ts'

type Entry = { readonly name: string; readonly match: Match }

function entryOf(match: Partial<Match>, name = 'entry'): Entry {
  return { name, match: { ...EVERYTHING, ...match } }
}

type Request = {
  readonly url?: string
  readonly method?: string
  readonly host?: string
  readonly headers?: IncomingHttpHeaders
}

function subjectOf({ url = '/', method = 'GET', host = 'a.example', headers = {} }: Request): MatchSubject {
  const target = parseTarget(url, method)
  if (target === null) throw new Error(`${url} is refused`)
  const lines = Object.entries(headers).flatMap(([name, value]) => [value!].flat().map((line) => [name, line] as const))
  return { method, target, host, names: lines.map(([name]) => name), rawHeaders: lines.flat() }
}

function matches(
  match: Partial<Match>,
  request: Request,
  form: 'strict' | 'folded' = 'folded',
  pathCase: PathCase = 'insensitive',
): boolean {
  return compileMatch([entryOf(match)], form, { ...READING, pathCase })(subjectOf(request)).length === 1
}

type PatternRow = readonly [pattern: string, matching: readonly string[], others: readonly string[]]

const PATTERNS: readonly PatternRow[] = [
  ['/', ['/', '/?a'], ['/a', '/a/b']],
  ['/a', ['/a', '/a?b'], ['/', '/b', '/a/b', '/aa', '/b/a']],
  ['/a/b', ['/a/b'], ['/a', '/a/b/c', '/b/a']],
  ['/*', ['/a', '/b'], ['/', '/a/b']],
  ['/a/*', ['/a/b', '/a/c'], ['/a', '/a/', '/a/b/c', '/b/c']],
  ['/a/*/c', ['/a/b/c', '/a/a/c'], ['/a/c', '/a//c', '/a/b/d', '/a/b/b/c', '/a/b/c/d']],
  ['/*/*', ['/a/b'], ['/a', '/a/b/c', '/']],
  ['/a/*/c/*', ['/a/b/c/d'], ['/a/b/c', '/a/b/d/d']],
  ['/**', ['/', '/a', '/a/b/c', '//', '/a/'], []],
  ['/a/**', ['/a', '/a/', '/a/b', '/a/b/c', '/a//'], ['/', '/b', '/aa', '/aa/b', '/b/a']],
  ['/**/c', ['/c', '/a/c', '/a/b/c'], ['/', '/c/a', '/ac', '/a/cc']],
  ['/**/b/c', ['/b/c', '/a/b/c'], ['/c', '/b/a/c', '/b']],
  ['/a/**/c', ['/a/c', '/a/b/c', '/a/b/b/c'], ['/a', '/c', '/a/b', '/b/c', '/ac', '/a/c/b']],
  ['/a/**/*', ['/a/b', '/a/b/c'], ['/a', '/b/c']],
  ['/**/*', ['/a', '/a/b'], ['/']],
  ['/**/*/c', ['/a/c', '/a/b/c'], ['/c']],
  ['/*/**', ['/a', '/a/b'], ['/']],
  ['/*/b/**', ['/a/b', '/a/b/c'], ['/b', '/a', '/a/c/b']],
  ['/*.css', ['/a.css', '/.css', '/a.b.css'], ['/css', '/a.css.map', '/a/b.css', '/']],
  ['/**/*.css', ['/a.css', '/a/b.css', '/a/b/c.min.css'], ['/a.css/b', '/a.scss', '/a/css']],
  ['/assets/*.{css,js}', ['/assets/a.css', '/assets/a.js'], ['/assets/a.png', '/assets/b/a.css', '/a.css']],
  ['/a/v*-*/c', ['/a/v1-2/c', '/a/v-/c', '/a/v--/c'], ['/a/v1/c', '/a/1-2/c', '/a/v1-2']],
  ['/a/{b,c}', ['/a/b', '/a/c'], ['/a', '/a/d', '/a/b/c', '/a/b,c']],
  ['/{a,b/c}/d', ['/a/d', '/b/c/d'], ['/b/d', '/a/c/d', '/a']],
  ['{/login,/login.*}', ['/login', '/login.json', '/login.'], ['/login/x', '/loginx', '/']],
  ['/login{,.*}', ['/login', '/login.json'], ['/login/x', '/logins']],
  ['/{a,b}/{c,d}', ['/a/c', '/a/d', '/b/c', '/b/d'], ['/a/b', '/c/d']],
  ['/__proto__', ['/__proto__'], ['/', '/constructor', '/a']],
  ['/**/constructor', ['/constructor', '/a/constructor'], ['/__proto__', '/toString']],
]

for (const [pattern, matching, others] of PATTERNS) {
  t.test(`the pattern ${pattern}`, async (t) => {
    for (const form of ['strict', 'folded'] as const) {
      for (const url of others) t.notOk(matches({ paths: [pattern] }, { url }, form), `not ${url}, ${form}`)
    }
    for (const url of matching) t.ok(matches({ paths: [pattern] }, { url }), url)
  })
}

t.test('several patterns match where one of them does, and the entry is found once', async (t) => {
  const find = compileMatch([entryOf({ paths: ['/a', '/a/**', '/*', '/b'] })], 'folded', READING)
  t.equal(find(subjectOf({ url: '/a' })).length, 1)
  t.equal(find(subjectOf({ url: '/b/' })).length, 1)
  t.equal(find(subjectOf({ url: '/b/c' })).length, 0)
})

t.test('segments named like properties of objects are segments', async (t) => {
  for (const segment of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    t.notOk(matches({ paths: ['/a'] }, { url: `/${segment}` }), segment)
    t.ok(matches({ paths: [`/${segment}/b`] }, { url: `/${segment}/b` }), segment)
  }
  t.equal(({} as Record<string, unknown>).b, undefined)
})

t.test('OPTIONS * asks about no path: what is said of the root says nothing of it', async (t) => {
  const request = { url: '*', method: 'OPTIONS' }
  t.ok(matches({}, request))
  t.ok(matches({ paths: ['/**'] }, request))
  for (const pattern of ['/', '/*', '/a/**', '/**/a']) t.notOk(matches({ paths: [pattern] }, request), pattern)
})

t.test('methods match as named, and GET stands for HEAD too', async (t) => {
  t.ok(matches({ methods: ['GET'] }, { method: 'GET' }))
  t.ok(matches({ methods: ['GET'] }, { method: 'HEAD' }))
  t.ok(matches({ methods: ['POST', 'PUT'] }, { method: 'PUT' }))
  t.notOk(matches({ methods: ['HEAD'] }, { method: 'GET' }))
  t.notOk(matches({ methods: ['POST'] }, { method: 'HEAD' }))
  t.notOk(matches({ methods: ['GET'] }, { method: 'OPTIONS' }))
})

t.test('hosts match whole, or below a wildcard', async (t) => {
  const rows: readonly (readonly [hosts: readonly string[], host: string, isMatch: boolean])[] = [
    [['a.example'], 'a.example', true],
    [['a.example'], 'b.a.example', false],
    [['a.example'], 'xa.example', false],
    [['a.example'], '', false],
    [['*.a.example'], 'b.a.example', true],
    [['*.a.example'], 'c.b.a.example', true],
    [['*.a.example'], 'a.example', false],
    [['*.a.example'], 'xa.example', false],
    [['*.a.example'], 'b.a.example.evil', false],
    [['b.example', '*.a.example'], 'b.example', true],
    [['[2001:db8::1]'], '[2001:db8::1]', true],
  ]
  for (const [hosts, host, isMatch] of rows) t.equal(matches({ hosts }, { host }), isMatch, `${hosts} ${host}`)
})

t.test('headers match by their value, and all that are named must', async (t) => {
  const one = (value: string, headers: IncomingHttpHeaders) =>
    matches({ headers: [{ name: 'x-a', value }] }, { headers })
  t.ok(one('b', { 'x-a': 'b' }))
  t.notOk(one('b', { 'x-a': 'B' }))
  t.notOk(one('b', { 'x-a': 'bb' }))
  t.notOk(one('b', {}))
  t.ok(one('*', { 'x-a': '' }))
  t.ok(one('', { 'x-a': '' }))
  t.notOk(one('*', {}))
  t.ok(one('b*', { 'x-a': 'bcd' }))
  t.ok(one('b, c', { 'x-a': ['b', 'c'] as unknown as string }))
  const both = { headers: [{ name: 'x-a', value: '1' }, { name: 'x-b', value: '2' }] } // biome-ignore format: short
  t.ok(matches(both, { headers: { 'x-a': '1', 'x-b': '2' } }))
  t.notOk(matches(both, { headers: { 'x-a': '1' } }))
})

t.test('of a repeated header an upstream may read any line, or all of them joined', async (t) => {
  const twice = { headers: { 'x-a': ['open', 'closed'] as unknown as string } }
  for (const value of ['open', 'closed', 'open, closed']) {
    const match = { headers: [{ name: 'x-a', value }] }
    t.ok(matches(match, twice), `a limit on ${value} holds`)
    t.notOk(matches(match, twice, 'strict'), `an exemption for ${value} does not`)
  }
  t.ok(matches({ headers: [{ name: 'x-a', value: '*' }] }, twice, 'strict'))
  t.notOk(matches({ headers: [{ name: 'x-a', value: '*' }] }, {}, 'strict'))
})

t.test('a header named like a property of objects is there only when it was sent', async (t) => {
  for (const name of ['constructor', '__proto__', 'tostring']) {
    for (const value of ['*', 'a*', 'a']) t.notOk(matches({ headers: [{ name, value }] }, {}), `${name}: ${value}`)
  }
  const headers = Object.assign(Object.create(Object.prototype), { constructor: 'abc' })
  t.ok(matches({ headers: [{ name: 'constructor', value: 'a*' }] }, { headers }))
})

t.test('every part of a match must hold', async (t) => {
  const match = { paths: ['/a'], methods: ['POST'], hosts: ['a.example'], headers: [{ name: 'x', value: 'y' }] }
  const request = { url: '/a', method: 'POST', host: 'a.example', headers: { x: 'y' } }
  t.ok(matches(match, request))
  for (const change of [{ url: '/b' }, { method: 'GET' }, { host: 'b.example' }, { headers: { x: 'z' } }]) {
    t.notOk(matches(match, { ...request, ...change }), JSON.stringify(change))
  }
})

t.test('an empty match takes every request', async (t) => {
  t.ok(isEmptyMatch(EVERYTHING))
  for (const part of [
    { paths: ['/'] },
    { methods: ['GET'] },
    { hosts: ['a'] },
    { headers: [{ name: 'a', value: '' }] },
  ]) {
    t.notOk(isEmptyMatch({ ...EVERYTHING, ...part }))
  }
  t.ok(matches({}, { url: '/any' }))
  t.same(compileMatch([], 'folded', READING)(subjectOf({})), [])
})

t.test('what matches comes in the order of the policy', async (t) => {
  const entries = [
    entryOf({ paths: ['/a/**'] }, '1'),
    entryOf({}, '2'),
    entryOf({ paths: ['/b'] }, '3'),
    entryOf({ paths: ['/a/b'] }, '4'),
    entryOf({ methods: ['GET'] }, '5'),
    entryOf({ paths: ['/**/b'] }, '6'),
    entryOf({ paths: ['/*/b'] }, '7'),
  ]
  for (const order of [entries, entries.toReversed()]) {
    const names = compileMatch(order, 'folded', READING)(subjectOf({ url: '/a/b' })).map(({ name }) => name)
    const wanted = ['1', '2', '4', '5', '6', '7']
    t.same(names, order === entries ? wanted : wanted.toReversed())
  }
})

/** Spellings of one resource to an upstream of some kind. */
const DISGUISES: readonly (readonly [pattern: string, url: string, why: string])[] = [
  ['/admin', '/admin/', 'trailing slash'],
  ['/admin', '//admin', 'merged slashes'],
  ['/admin', '/admin//', 'merged slashes'],
  ['/admin', '/%61dmin', 'escaped letter'],
  ['/admin', '/%2fadmin', 'escaped slash'],
  ['/admin', '/x%2f..%2fadmin', 'escaped dot segments'],
  ['/admin', '/x/..%2fadmin', 'escaped dot segments'],
  ['/admin', '/x%5c..%5cadmin', 'escaped backslashes'],
  ['/admin', '/admin;x=1', 'parameters'],
  ['/admin', '/x/..;/admin', 'parameters of a dot segment'],
  ['/admin', '//x/admin', 'an authority to new URL()'],
  ['/admin', '/.//x/admin', 'an authority to new URL()'],
  ['/admin/**', '/admin;x/y', 'parameters'],
  ['/api/*/secret', '/api/a%2fb/s%65cret', 'an id with a slash, the rest escaped'],
  ['/api/*/secret', '/api/a%2fb/secret/', 'an id with a slash, a slash at the end'],
  ['/api/*/secret', '/api/;x/s%65cret', 'an id that looks like parameters'],
  ['/api/*/secret', '/api/a%5cb%2Fsecret', 'an id with a backslash'],
  ['/v1/items:batch', '/v1/items%3Abatch', 'escaped colon'],
  ['/v1/items%3Abatch', '/v1/items:batch', 'pattern written escaped'],
  ['/%61dmin', '/admin', 'pattern written escaped'],
  ['/caf%c3%a9', '/caf%C3%A9', 'the case of an escape'],
  ['/caf%C3%A9', '/caf%c3%a9', 'the case of an escape'],
  ['/caf%C3%A9', '/caf\u00c3\u00a9', 'raw bytes'],
  ['/a/', '/a', 'pattern with a slash at the end'],
  ['/a/', '/a//', 'pattern with a slash at the end'],
  ['/%7Bid%7D', '/{id}', 'pattern written escaped'],
  ['/admin', '/Admin', 'letter case'],
  ['/admin', '/ADMIN/', 'letter case'],
  ['/Admin', '/aDMIN', 'letter case of both'],
  ['/admin', '/%41dmin', 'letter case of an escaped letter'],
  ['/admin', '/x%2f..%2fADMIN', 'letter case in another reading'],
  ['/a%2Fb', '/A%2fB', 'letter case beside an escape'],
  ['/caf%c3%a9', '/CAF%C3%89', 'letter case of a letter beyond ASCII'],
  ['/caf%c3%89', '/caf%c3%a9', 'letter case of a letter beyond ASCII'],
  ['/stra%C3%9Fe', '/STRASSE', 'sharp s in upper case'],
  ['/books', '/book%C5%BF', 'a long s, which ignoring case takes for s'],
  ['/kiosk', '/kios%E2%84%AA', 'the Kelvin sign, which ignoring case takes for k'],
  ['/**/*.css', '/a/B.CSS', 'letter case of a suffix'],
  ['/a/{b,c}', '/A/C', 'letter case of an alternative'],
  ['/login.*', '/login%2Ejson', 'an escaped dot'],
  ['/admin', '/admin.', 'a dot at the end'],
  ['/admin', '/admin%2e', 'a dot at the end'],
  ['/admin', '/admin...', 'dots at the end'],
  ['/admin', '/admin%20', 'a space at the end'],
  ['/admin', '/admin%09', 'a tab at the end'],
  ['/admin', '/admin%0a', 'a line feed at the end'],
  ['/admin', '/admin%0D%0A', 'a line break at the end'],
  ['/admin', '/admin%20.%20..', 'dots and spaces at the end'],
  ['/admin/x', '/admin%20/x.', 'spaces and dots at the end of segments'],
  ['/admin', '/admin%0a;x', 'a line feed before parameters'],
  ['/admin', '/x/..%20/admin', 'a dot segment with a space'],
  ['/admin/*.css', '/admin/a.css%20', 'a space behind a suffix'],
]

t.test('no spelling of a path gets round a limit or a deny entry', async (t) => {
  for (const [pattern, url, why] of DISGUISES) t.ok(matches({ paths: [pattern] }, { url }), `${pattern} ${url}: ${why}`)
})

t.test('no spelling of a path gets into an exemption', async (t) => {
  for (const [pattern, url, why] of DISGUISES) {
    t.notOk(matches({ paths: [pattern] }, { url }, 'strict'), `${pattern} ${url}: ${why}`)
  }
})

t.test('a path that begins as an exemption and leads elsewhere is not exempt', async (t) => {
  for (const [pattern, url] of [
    ['/public/**', '/public/..%2fadmin'],
    ['/public/**', '/public/%2e%2e%2fadmin'],
    ['/public/**', '/public/..;/admin'],
    ['/public/**', '/public/x%5c..%5c..%5cadmin'],
    ['/public/*', '/public/..%2fadmin'],
    ['/users/*', '/users/me%2fexport'],
    ['/**/health', '/admin;x=/health/..;/..'],
    ['/*/health', '//health'],
    ['/*/*', '//health'],
    ['/health', '/HEALTH'],
    ['/public/**', '/Public/a'],
    ['/public/*.css', '/public/admin;x.css'],
    ['/public/*.css', '/public/x%2f..%2f..%2fadmin.css'],
    ['/public/*.css', '/public/a.css%2Fb'],
    ['/public/{a,b}', '/public/a%20'],
  ] as const) {
    t.notOk(matches({ paths: [pattern] }, { url }, 'strict'), `${pattern} ${url}`)
  }
})

t.test('an exemption holds for what is written as it is, in all its readings', async (t) => {
  for (const [pattern, url] of [
    ['/health', '/health'],
    ['/health/', '/health/'],
    ['/%68ealth', '/%68ealth'],
    ['/a%2Fb', '/a%2Fb'],
    ['/a;v=1', '/a;v=1'],
    ['/static/**', '/static/a%2Fb'],
    ['/static/**', '/static/a;v=1/b'],
    ['/static/**', '/static/%C3%A9'],
    ['/static/**', '/static//a/'],
    ['/users/*', '/users/%40me'],
    ['/Users/*', '/Users/A'],
    ['/assets/*.css', '/assets/Main.css'],
    ['/assets/{a,b}', '/assets/b'],
    ['/files/*', '/files/report.'],
    ['/users/*', '/users/a;v=1'],
    ['/**', '//x/..%2f;/%5c'],
  ] as const) {
    t.ok(matches({ paths: [pattern] }, { url }, 'strict'), `${pattern} ${url}`)
  }
})

t.test('an upstream that regards letter case is matched with regard to it', async (t) => {
  t.ok(matches({ paths: ['/admin'] }, { url: '/admin' }, 'folded', 'sensitive'))
  t.ok(matches({ paths: ['/Admin'] }, { url: '/%41dmin' }, 'folded', 'sensitive'))
  for (const url of ['/Admin', '/ADMIN', '/%41dmin']) {
    t.notOk(matches({ paths: ['/admin'] }, { url }, 'folded', 'sensitive'), url)
  }
})

t.test('a limit that disregards letter case holds whatever one that regards it holds', async () => {
  const pieces = fc.constantFrom('a', 'A', 'b', '/', '.', '%C3%A9', '%C3%89', '%2F', ';', '%20', '%FF', 's')
  const url = fc.array(pieces, { maxLength: 10 }).map((written) => `/${written.join('')}`)
  fc.assert(
    fc.property(url, url, (pattern, url) => {
      if ('wrong' in readPathPattern(pattern) || parseTarget(url, 'GET') === null) return
      const isSensitive = matches({ paths: [pattern] }, { url }, 'folded', 'sensitive')
      if (isSensitive) assert.ok(matches({ paths: [pattern] }, { url }), `${pattern} ${url}`)
    }),
    { seed: 82, numRuns: 3000 },
  )
})

t.test('forms agree wherever a path has one reading', async () => {
  const segment = fc.constantFrom<string>('a', 'b', 'c', '*', 'a*', '*b', 'a*b')
  const pattern = fc.tuple(fc.array(segment, { maxLength: 4 }), fc.option(fc.nat(4))).map(([segments, at]) => {
    if (at !== null) segments.splice(at, 0, '**')
    return `/${segments.join('/')}`
  })
  const url = fc
    .array(fc.constantFrom('a', 'b', 'c', 'd', 'ab', 'acb'), { maxLength: 6 })
    .map((segments) => `/${segments.join('/')}`)
  // The oracle: the pattern as a regular expression, written with none of the code under test.
  const regexOf = (pattern: string) => {
    const body = pattern
      .slice(1)
      .split('/')
      .map((each) => (each === '**' ? '(?:/[^/]*)*' : each === '*' ? '/[^/]+' : `/${each.replaceAll('*', '[^/]*')}`))
      .join('')
    return new RegExp(`^${body}$`)
  }
  let hits = 0
  fc.assert(
    fc.property(fc.array(pattern, { minLength: 1, maxLength: 8 }), url, (patterns, url) => {
      const entries = patterns.map((pattern) => entryOf({ paths: [pattern] }, pattern))
      // `/` has one empty segment for a pattern, and `/**` takes it.
      const expected = patterns.filter((pattern) => regexOf(pattern).test(url))
      for (const form of ['strict', 'folded'] as const) {
        const found = compileMatch(entries, form, READING)(subjectOf({ url })).map(({ name }) => name)
        assert.deepEqual(found, expected)
      }
      hits += expected.length
    }),
    { seed: 80, numRuns: 3000 },
  )
  assert.ok(hits > 500)
})

/** Milliseconds that the fastest of some runs takes. */
function fastest(run: () => void): number {
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < 7; i++) {
    const start = performance.now()
    run()
    best = Math.min(best, performance.now() - start)
  }
  return best
}

function timeOf(entries: readonly Entry[], url: string): number {
  const find = compileMatch(entries, 'folded', READING)
  const subject = subjectOf({ url })
  return fastest(() => {
    for (let i = 0; i < 5000; i++) find(subject)
  })
}

t.test('1,000 entries with paths of their own cost about what five do', async (t) => {
  const shapes: readonly ((n: number) => string)[] = [
    (n) => `/api/v1/resource-${n}`,
    (n) => `/api/v1/resource-${n}/*`,
    (n) => `/api/v1/resource-${n}/**`,
    (n) => `/tenant-${n}/**/settings`,
    (n) => `/api/*/resource-${n}`,
    (n) => `/**/resource-${n}`,
    (n) => `/{a,b}/{c,resource-${n}}`,
  ]
  for (const shape of shapes) {
    const entries = (count: number) => Array.from({ length: count }, (_, n) => entryOf({ paths: [shape(n)] }, `${n}`))
    const url = '/api/v1/resource-3'
    const few = timeOf(entries(5), url)
    const many = timeOf(entries(1000), url)
    t.ok(many < 5 * few + 5, `${shape(0)}: ${few.toFixed(1)} ms with 5, ${many.toFixed(1)} ms with 1,000`)
  }
})

t.test('no pattern and path make each other slow', async (t) => {
  const depth = 60
  const stars = Array.from(
    { length: depth },
    (_, i) => `/${Array.from({ length: depth }, (_, j) => (i === j ? 'a' : '*')).join('/')}`,
  )
  const globs = Array.from({ length: depth }, (_, i) => `/${'a/'.repeat(i)}**/${'a/'.repeat(depth - i)}b`)
  const long = [`/${'*/'.repeat(500)}**/${'a/'.repeat(500)}b`]
  const partial = Array.from({ length: depth }, (_, i) => `/${'a*a/'.repeat(i)}**/${'*a*a*/'.repeat(depth - i)}b`)
  for (const paths of [stars, globs, long, partial]) {
    const find = compileMatch([entryOf({ paths })], 'folded', READING)
    for (const url of [
      `/${'a/'.repeat(depth)}c`,
      `/${'a/'.repeat(5000)}c`,
      `/${'a/'.repeat(5000)}b`,
      '/'.repeat(10_000),
    ]) {
      const subject = subjectOf({ url })
      const took = fastest(() => void find(subject))
      t.ok(took < 200, `${took} ms`)
    }
  }
})

t.test('a wildcard value matches what the same regular expression does', async () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'ab', '.', '\n', ''), maxLength: 8 })
  const pattern = fc.array(fc.oneof(fc.constant('*'), text), { maxLength: 6 }).map((pieces) => pieces.join(''))
  const regexOf = (pattern: string) =>
    new RegExp(`^${pattern.replace(/[.\\^$+?()[\]{}|]/g, '\\$&').replaceAll('*', '[\\s\\S]*')}$`)
  // Half of the texts are made from the pattern, so that many match.
  const made = pattern.chain((pattern) =>
    fc.tuple(
      fc.constant(pattern),
      fc.array(text, { minLength: 7, maxLength: 7 }).map((fill) => {
        let i = 0
        return pattern.replace(/\*/g, () => fill[i++ % fill.length]!)
      }),
    ),
  )
  let hits = 0
  fc.assert(
    fc.property(fc.oneof(made, fc.tuple(pattern, text)), ([pattern, text]) => {
      const expected = regexOf(pattern).test(text)
      assert.equal(compileWildcard(pattern)(text), expected)
      if (expected) hits++
    }),
    { seed: 81, numRuns: 5000 },
  )
  assert.ok(hits > 1000)
})

t.test('pieces of a wildcard value do not overlap', async (t) => {
  t.notOk(compileWildcard('aba*aba')('aba'))
  t.notOk(compileWildcard('ab*bc')('abc'))
  t.ok(compileWildcard('ab*bc')('abbc'))
  t.notOk(compileWildcard('a*bc*c')('abc'))
  t.ok(compileWildcard('**')(''))
  t.notOk(compileWildcard('')('a'))
})

t.test('no wildcard value makes a long header slow', async (t) => {
  const text = 'a'.repeat(100_000)
  for (const pattern of ['*a*a*a*a*b', 'a*'.repeat(1000), `${'*a'.repeat(1000)}b`, '*aab*aab*']) {
    const accepts = compileWildcard(pattern)
    const took = fastest(() => void accepts(text))
    t.ok(took < 100, `${pattern.slice(0, 10)}: ${took} ms`)
  }
})

t.test('methods may be left out instead of named, HEAD with GET', async (t) => {
  const match = { notMethods: ['GET', 'OPTIONS'] }
  for (const method of ['POST', 'PUT', 'DELETE']) t.ok(matches(match, { method }), method)
  for (const method of ['GET', 'HEAD', 'OPTIONS']) t.notOk(matches(match, { method }), method)
  t.notOk(isEmptyMatch({ ...EVERYTHING, ...match }))
})

t.test('a header may be asked to be absent, or present with any value', async (t) => {
  const absent = { headers: [{ name: 'x-api-key', value: null }] }
  const present = { headers: [{ name: 'x-api-key', value: '*' }] }
  for (const form of ['strict', 'folded'] as const) {
    t.ok(matches(absent, {}, form))
    t.notOk(matches(present, {}, form))
    for (const value of ['a', '', ['a', 'b']]) {
      t.notOk(matches(absent, { headers: { 'x-api-key': value } }, form))
      t.ok(matches(present, { headers: { 'x-api-key': value } }, form))
    }
  }
})
