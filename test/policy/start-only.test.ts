import t from 'tap'
import { keepStartOnly, startOnlyChanges } from '../../src/policy/start-only.ts'
import { policyWith } from '../fixtures/app.ts'

t.test('what only rules look at is read again at a reload, though its section is for the start', async (t) => {
  const first = policyWith()
  const upstream = { ...first.upstream, pathCase: 'sensitive' } as const
  const next = policyWith({ ...first, upstream, server: { ...first.server, methodOverride: 'match' } })
  t.same(startOnlyChanges(next, first), [])
  t.equal(keepStartOnly(next, first).upstream.pathCase, 'sensitive')
  t.equal(keepStartOnly(next, first).server.methodOverride, 'match')
})

t.test('where the upstream is stays as it was, and the change is named', async (t) => {
  const first = policyWith()
  const next = policyWith({
    ...first,
    upstream: { ...first.upstream, url: 'http://127.0.0.1:1', pathCase: 'sensitive' },
  })
  t.same(startOnlyChanges(next, first), ['upstream'])
  t.match(keepStartOnly(next, first).upstream, { url: first.upstream.url, pathCase: 'sensitive' })
})
