import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { type AttackedProxy, holdAgainst } from '../fixtures/attacked-proxy.ts'
import { get } from '../fixtures/raw-client.ts'

/** What one client does to the others (faults, section "One client must not stop the others"): nothing. */

t.test('40 connections that each pipeline 8,000 requests and never read', async (t) => {
  await holdAgainst(t, async ({ url }) => {
    for (const socket of openMany(t, url, 40)) {
      socket.pause()
      socket.write(get().repeat(8000))
    }
    await delay(2000)
  })
})

t.test('300 connections that each pipeline what is read ahead, and never read', async (t) => {
  await holdAgainst(t, async ({ url }) => {
    for (const socket of openMany(t, url, 300)) {
      socket.pause()
      socket.write(get().repeat(60))
    }
    await delay(2000)
  })
})

t.test('40 connections that ask as fast as they are answered', async (t) => {
  await holdAgainst(t, async ({ url }) => {
    for (const socket of openMany(t, url, 40)) {
      socket.write(get())
      socket.on('data', () => socket.write(get()))
    }
    await delay(500)
  })
})

/** Connections of one address, which end with the test. */
function openMany(t: Teardown, url: AttackedProxy['url'], count: number): readonly Socket[] {
  const { hostname, port } = new URL(url)
  const sockets = Array.from({ length: count }, () => connect(Number(port), hostname))
  for (const socket of sockets) socket.on('error', () => {})
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  return sockets
}

type Teardown = { teardown(close: () => void): unknown }
