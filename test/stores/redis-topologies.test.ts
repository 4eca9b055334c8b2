import t, { type Test } from 'tap'
import { TOKEN } from '../../src/limiter/bucket.ts'
import { createBucket } from '../../src/limiter/plan.ts'
import { createRedisStore, type RedisStoreOptions } from '../../src/stores/redis.ts'
import { debitOf, isAdmitted } from '../contracts/store.ts'
import { eventually } from '../fixtures/app.ts'
import { freePort, startRedis } from '../fixtures/redis-server.ts'
import { at } from '../fixtures/redis-store.ts'
import { makeCertificates, startCluster, startSentinels } from '../fixtures/redis-topologies.ts'

const hour = createBucket('hour', { tokens: 1, seconds: 3600 }, 10)
let opened = 0

function open(t: Test, options: Partial<RedisStoreOptions>) {
  const store = createRedisStore({ ...at('redis://127.0.0.1'), keyPrefix: `test-${opened++}:`, ...options })
  t.teardown(() => store.close())
  return store
}

t.test('a cluster', async (t) => {
  const nodes = await startCluster(t)
  const servers = { kind: 'cluster', nodes: [`redis://127.0.0.1:${nodes[0]!.port}`] } as const
  const ready = async (t: Test, options: Partial<RedisStoreOptions> = {}) => {
    const store = open(t, { servers, ...options })
    await eventually(
      'the cluster answers',
      () =>
        store.ping().then(
          () => true,
          () => false,
        ),
      10_000,
    )
    return store
  }

  t.test('keys of many networks lie on all nodes', async (t) => {
    const store = await ready(t, { keyPrefix: 'spread:' })
    const charge = (i: number) => store.charge([debitOf({ bucket: hour, tag: `net-${i}` })])
    await eventually('each node is connected', async () => {
      const charges = await Promise.allSettled(Array.from({ length: 60 }, (_, i) => charge(i)))
      return charges.every(({ status }) => status === 'fulfilled')
    })
    const sizes = await Promise.all(nodes.map(async (node) => (await node.cli('keys', 'spread:*')).split('\n').length))
    t.ok(
      sizes.every((size) => size > 5),
      sizes.join(' '),
    )
  })

  t.test('debits of several slots are charged all or none: what was reserved is refunded', async (t) => {
    const store = await ready(t)
    const a = debitOf({ bucket: hour, id: 'a', tag: 'one', tokens: 4 })
    const b = debitOf({ bucket: hour, id: 'b', tag: 'two', tokens: 6 })
    const shadow = debitOf({ bucket: hour, id: 's', tag: 'three', tokens: 5, group: 1 })
    t.same(await store.charge([a, b, shadow]), [0, 0, 0])
    const second = await store.charge([a, b, shadow])
    t.notOk(isAdmitted([a, b], second), 'b has but 4 left')
    const look = [a, b, shadow].map((debit) => ({ ...debit, group: 0, cost: 11 * TOKEN }))
    await eventually('the refund', async () => {
      const debts = await Promise.all(look.map(async (debit) => (await store.charge([debit]))[0]!))
      return debts.every((debt, i) => Math.abs(debt - [4, 6, 5][i]! * TOKEN) < TOKEN / 10)
    })
  })

  t.test('a shadow limit of another slot that refuses keeps nobody out', async (t) => {
    const store = await ready(t)
    const debit = debitOf({ bucket: hour, id: 'a', tag: 'one' })
    const shadow = debitOf({ bucket: hour, id: 's', tag: 'two', tokens: 10, group: 1 })
    t.same(await store.charge([debit, shadow]), [0, 0])
    const debts = await store.charge([debit, shadow])
    t.ok(isAdmitted([debit], debts))
    t.notOk(isAdmitted([shadow], debts, 1))
    const third = await store.charge([debit])
    t.ok(third[0]! > 1.9 * TOKEN)
  })

  t.test('slots that move to another node (ASK, then MOVED) are followed, and no bucket is lost', async (t) => {
    const store = await ready(t)
    const debit = debitOf({ bucket: hour, id: 'moved', tag: 'moved' })
    await store.charge([debit])
    const slot = await nodes[0]!.cli('cluster', 'keyslot', 'x{moved}')
    const ids = await Promise.all(nodes.map((node) => node.cli('cluster', 'myid')))
    const owner = (await Promise.all(nodes.map((node) => node.cli('cluster', 'countkeysinslot', slot)))).indexOf('1')
    const from = nodes[owner]!
    const to = nodes[(owner + 1) % 3]!
    const toId = ids[(owner + 1) % 3]!
    await to.cli('cluster', 'setslot', slot, 'importing', ids[owner]!)
    await from.cli('cluster', 'setslot', slot, 'migrating', toId)
    const keys = (await from.cli('cluster', 'getkeysinslot', slot, '10')).split('\n')
    await from.cli('migrate', '127.0.0.1', String(to.port), keys[0]!, '0', '5000')
    t.ok((await store.charge([debit]))[0]! > 0.9 * TOKEN, 'ASK')
    for (const node of nodes) await node.cli('cluster', 'setslot', slot, 'node', toId)
    t.ok((await store.charge([debit]))[0]! > 1.9 * TOKEN, 'MOVED')
  })

  t.test('a node that is away takes its own keys along, and no others', async (t) => {
    for (const node of nodes) await node.cli('config', 'set', 'cluster-require-full-coverage', 'no')
    const store = await ready(t, { keyPrefix: 'lost:' })
    const charge = (i: number) => store.charge([debitOf({ bucket: hour, tag: `net-${i}` })])
    await nodes[2]!.stop()
    async function failed(): Promise<string> {
      const charges = await Promise.allSettled(Array.from({ length: 60 }, (_, i) => charge(i)))
      return charges.map(({ status }) => (status === 'rejected' ? 'x' : '.')).join('')
    }
    let last = ''
    await eventually(
      'the same keys fail each time',
      async () => {
        const before = last
        last = await failed()
        return last === before && last.includes('x') && last.includes('.')
      },
      10_000,
    )
  })
})

t.test(
  'sentinels: the store finds the primary, and the new one after a failover, though one of them hangs',
  async (t) => {
    const { primary, replica, sentinels } = await startSentinels(t)
    const nodes = sentinels.map(({ port }) => ({ host: '127.0.0.1', port }))
    const store = open(t, { servers: { kind: 'sentinel', name: 'primary', nodes } })
    const other = open(t, { servers: { kind: 'sentinel', name: 'nobody', nodes } })
    t.equal(await store.opened, true)
    const debit = debitOf({ bucket: hour })
    await store.charge([debit])
    await eventually('the charge is replicated', async () => (await replica.cli('dbsize')) === '1')
    // The one that the store asks first: while it waits for that one, the others tell of the failover.
    process.kill(sentinels[0]!.pid, 'SIGSTOP')
    await primary.stop()
    // A vote that is split is taken again, and a sentinel that was held up does nothing for half a minute (TILT): that is theirs.
    const isNamed = async () => {
      const named = sentinels.slice(1).map((sentinel) => sentinel.cli('sentinel', 'get-master-addr-by-name', 'primary'))
      return (await Promise.all(named)).some((address) => address.endsWith(String(replica.port)))
    }
    await eventually('a sentinel names the replica as the primary', isNamed, 90_000)
    const isFound = () =>
      store.ping().then(
        () => true,
        () => false,
      )
    await eventually('the store finds it', isFound, 10_000)
    t.ok((await store.charge([debit]))[0]! > 0.9 * TOKEN, 'which kept the debt')
    await t.rejects(other.ping(), { code: 'store_unavailable' })
  },
)

t.test('TLS', async (t) => {
  const files = await makeCertificates(t.testdir({}))
  const port = await freePort()
  const tls = ['--tls-cert-file', files.cert, '--tls-key-file', files.key, '--tls-ca-cert-file', files.caFile]
  const auth = ['--tls-auth-clients', 'no', '--requirepass', 'right']
  const server = await startRedis(['--tls-port', String(port), ...tls, ...auth])
  t.teardown(() => server.stop())
  const url = `rediss://127.0.0.1:${port}`
  const answers = async (options: Partial<RedisStoreOptions>) => {
    const store = open(t, { servers: { kind: 'single', url }, password: 'right', ...options })
    await store.opened
    return store.ping()
  }
  await t.resolves(answers({ tls: { ca: files.ca } }), 'the certificate is signed by the authority given')
  const named = { kind: 'single', url: url.replace('127.0.0.1', 'localhost') } as const
  await t.resolves(answers({ servers: named, tls: { ca: files.ca } }), 'by name too')
  await t.rejects(answers({ tls: { ca: null } }), { message: /certificate/ }, 'no public authority signed it')
  await t.rejects(answers({ tls: { ca: files.ca }, password: 'wrong' }), { message: /WRONGPASS/ })
  const other = await makeCertificates(t.testdir({}))
  await t.rejects(answers({ tls: { ca: other.ca } }), { message: /certificate/ }, 'another authority')
})
