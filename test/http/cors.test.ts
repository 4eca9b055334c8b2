import t from 'tap'
import { compileCors } from '../../src/http/cors.ts'

function fieldsOf(origins: readonly string[], origin: string | undefined): Record<string, string> {
  const fields = compileCors(origins)(origin)
  const pairs: Record<string, string> = {}
  for (let i = 0; i < fields.length; i += 2) pairs[fields[i]!.toLowerCase()] = fields[i + 1]!
  return pairs
}

const EXPOSED = 'RateLimit, RateLimit-Policy, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset'

t.test('a request without Origin gets no fields', async (t) => {
  t.same(fieldsOf(['*'], undefined), {})
  t.same(fieldsOf(['https://a.example'], undefined), {})
  t.same(fieldsOf([], undefined), {})
})

t.test('where any origin may read, none gets credentials', async (t) => {
  for (const origin of ['https://a.example', 'null', '', '*']) {
    t.same(fieldsOf(['*'], origin), {
      'access-control-allow-origin': '*',
      'access-control-expose-headers': EXPOSED,
    })
  }
})

t.test('a listed origin may read with credentials, and caches are told that it depends', async (t) => {
  t.same(fieldsOf(['https://a.example', 'https://b.example'], 'https://b.example'), {
    'access-control-allow-origin': 'https://b.example',
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': EXPOSED,
    vary: 'Origin',
  })
})

t.test('an origin that is not listed is never named', async (t) => {
  for (const origin of [
    'https://evil.example',
    'null',
    'https://a.example.evil.example',
    'https://evil.example/https://a.example',
    'http://a.example',
    'https://a.example:8443',
    'https://A.example',
    'https://a.example\r\nX: y',
    '*',
    '',
    '__proto__',
  ]) {
    t.same(fieldsOf(['https://a.example'], origin), { vary: 'Origin' }, JSON.stringify(origin))
    t.same(fieldsOf([], origin), { vary: 'Origin' }, JSON.stringify(origin))
  }
})
