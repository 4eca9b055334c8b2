import t, { type Test } from 'tap'
import { createSlowClients } from '../../src/proxy/slow-clients.ts'

type Client = { bytesRead: number; bytesWritten: number; writableLength: number; isCut: boolean; destroy(): void }

/** Connections in simulated time: `run` lets seconds pass, after each of which `step` says what has come or was taken. */
function simulate(t: Test, changes: { minRate?: number; isRated?: boolean; patience?: number } = {}) {
  const client: Client = {
    bytesRead: 0,
    bytesWritten: 0,
    writableLength: 0,
    isCut: false,
    destroy() {
      this.isCut = true
    },
  }
  let nowMs = 0
  let isBodyAwaited = false
  const slowClients = createSlowClients(new Set([client]), {
    minRate: changes.minRate ?? 500,
    grace: 20_000,
    patience: changes.patience ?? 3_600_000,
    isBodyAwaited: () => isBodyAwaited,
    isRated: () => changes.isRated ?? true,
    onSlowBody: (connection) => connection.destroy(),
    nowMs: () => nowMs,
  })
  t.teardown(slowClients.close)
  return {
    client,
    await: (isAwaited = true) => {
      isBodyAwaited = isAwaited
    },
    /** The second in which the client is cut off; null where it never is. */
    run(seconds: number, step: (second: number) => void): number | null {
      for (let second = 1; second <= seconds; second++) {
        nowMs += 1000
        step(second)
        slowClients.sweep()
        if (client.isCut) return second
      }
      return null
    },
  }
}

t.test('an upload of 20 kB/s for an hour is not cut off, nor one of exactly min_rate', async (t) => {
  for (const rate of [20_000, 500]) {
    const { client, run, await: wait } = simulate(t)
    wait()
    t.equal(
      run(3600, () => {
        client.bytesRead += rate
      }),
      null,
    )
  }
})

t.test('a body of a byte a second is cut off after the grace', async (t) => {
  const { client, run, await: wait } = simulate(t)
  wait()
  t.equal(
    run(60, () => {
      client.bytesRead += 1
    }),
    21,
  )
})

t.test('a phone that loses its network for half a minute goes on, one that is gone for longer does not', async (t) => {
  const { client, run, await: wait } = simulate(t)
  wait()
  const step = (second: number) => {
    if (second <= 30 || second > 60) client.bytesRead += 5000
  }
  t.equal(run(120, step), null)
  t.equal(
    run(120, () => {}),
    80,
  )
})

t.test('time in which the client is not waited for is not counted', async (t) => {
  const { run, await: wait } = simulate(t)
  wait()
  t.equal(
    run(10, () => {}),
    null,
  )
  wait(false)
  t.equal(
    run(600, () => {}),
    null,
  )
})

t.test('a reader is held to the rate while something waits for it; an event stream is not', async (t) => {
  const slow = simulate(t)
  slow.client.writableLength = 100_000
  slow.client.bytesWritten = 100_000
  t.equal(
    slow.run(60, () => {
      slow.client.bytesWritten += 100
    }),
    26,
  )
  const stream = simulate(t, { isRated: false })
  stream.client.writableLength = 100_000
  t.equal(
    stream.run(600, () => {
      stream.client.bytesWritten += 1
    }),
    null,
  )
})

t.test('without a rate only a client that takes nothing for idle_timeout is cut off', async (t) => {
  const { client, run } = simulate(t, { minRate: 0, patience: 100_000 })
  client.writableLength = 1000
  const step = (second: number) => {
    if (second <= 200) client.bytesWritten += 1
  }
  t.equal(run(600, step), 301)
})

t.test('a process that stood still for a minute cuts off nobody', async (t) => {
  const client = { bytesRead: 0, bytesWritten: 0, writableLength: 0, destroy: () => t.fail('cut off') }
  let nowMs = 0
  const slowClients = createSlowClients(new Set([client]), {
    minRate: 500,
    grace: 20_000,
    patience: 300_000,
    isBodyAwaited: () => true,
    isRated: () => true,
    onSlowBody: () => t.fail('cut off'),
    nowMs: () => nowMs,
  })
  slowClients.sweep()
  nowMs += 60_000
  slowClients.sweep()
  slowClients.close()
})
