import t from 'tap'
import { createJar } from '../../bench/simulate/jar.ts'

t.test('a jar sends back what it was given, replaces and forgets', async (t) => {
  const jar = createJar()
  t.equal(jar.field(), '')
  jar.take('__Host-sluice-ab=one=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=604800')
  t.equal(jar.field(), '__Host-sluice-ab=one=')
  jar.take('other=2')
  jar.take('__Host-sluice-ab=three')
  t.equal(jar.field(), '__Host-sluice-ab=three; other=2')
  jar.take('other=; Max-Age=0')
  jar.take('nothing to keep')
  t.equal(jar.field(), '__Host-sluice-ab=three')
})
