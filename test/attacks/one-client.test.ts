import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { type AttackedProxy, holdAgainst } from '../fixtures/attacked-proxy.ts'
import { get } from '../fixtures/raw-client.ts'
import { DEAREST } from './dearest-heads.ts'

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

t.test('300 bodies that drip, small and large, with a length and chunked', async (t) => {
  await holdAgainst(t, async ({ url }) => {
    const heads = ['Content-Length: 1000', 'Content-Length: 1000000', 'Transfer-Encoding: chunked']
    const sockets = openMany(t, url, 300)
    const drip = () => {
      for (const [i, socket] of sockets.entries()) socket.write(i % 3 === 2 ? '1\r\nx\r\n' : 'x')
    }
    for (const [i, socket] of sockets.entries()) {
      socket.write(`POST / HTTP/1.1\r\nHost: a\r\nUser-Agent: ${i}\r\n${heads[i % 3]}\r\n\r\n`)
    }
    const dripping = setInterval(drip, 500)
    t.teardown(() => clearInterval(dripping))
    await delay(2000)
  })
})

t.test('300 responses of 8 MiB that are never read', async (t) => {
  await holdAgainst(t, async ({ url }) => {
    for (const [i, socket] of openMany(t, url, 300).entries()) {
      socket.pause()
      socket.write(get('/large', `User-Agent: ${i}`))
    }
    await delay(2000)
  })
})

t.test('300 event streams', async (t) => {
  await holdAgainst(t, async ({ url }) => {
    for (const [i, socket] of openMany(t, url, 300).entries()) {
      socket.resume()
      socket.write(get('/events', `User-Agent: ${i}`))
    }
    await delay(2000)
  })
})

t.test('responses behind a 103 whose links are crafted', async (t) => {
  await holdAgainst(t, async ({ url }) => {
    for (const socket of openMany(t, url, 40)) {
      socket.on('data', () => socket.write(get('/hints')))
      socket.write(get('/hints'))
    }
    await delay(2000)
  })
})

t.test('preflights as fast as they are answered', async (t) => {
  const preflight = get('/', 'Origin: https://a.example', 'Access-Control-Request-Method: PUT').replace(
    'GET',
    'OPTIONS',
  )
  const { adminUrl } = await holdAgainst(t, async ({ url }) => {
    for (const socket of openMany(t, url, 40)) {
      socket.on('data', () => socket.write(preflight))
      socket.write(preflight)
    }
    await delay(2000)
  })
  const metrics = await (await fetch(`${adminUrl}/metrics`)).text()
  t.match(metrics, /^sluice_limit_decisions_total\{limit="preflight",outcome="limited"\} [1-9]\d{2,}/m)
})

t.test('the dearest heads, as fast as they are answered', async (t) => {
  const heads = Object.values(DEAREST)
  let answers = 0
  await holdAgainst(t, async ({ url }) => {
    for (const [i, socket] of openMany(t, url, 40).entries()) {
      const head = heads[i % heads.length]!
      socket.on('data', () => {
        answers++
        socket.write(head)
      })
      socket.write(head)
    }
    await delay(2000)
  })
  t.ok(answers > 1000, `${answers}`)
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
