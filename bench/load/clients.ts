import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import type { Clients } from '../contenders/contender.ts'

export type Answer = { readonly status: number; readonly body: string; readonly fields: IncomingMessage['headers'] }

const KEYS = 1000
const HOT_KEYS = 10
const AGENT = new Agent({ keepAlive: true, maxSockets: 1 })

/** Asks once, as the client behind an address, by way of the trusted proxy that the loopback is. */
export async function ask(port: number, address: string, cookie = ''): Promise<Answer> {
  const fields = { 'X-Forwarded-For': address, ...(cookie === '' ? {} : { Cookie: cookie }) }
  const asked = request({ port, host: '127.0.0.1', path: '/api/items?page=2', headers: fields, agent: AGENT }).end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  let body = ''
  for await (const chunk of answer.setEncoding('utf8')) body += chunk
  return { status: answer.statusCode!, body, fields: answer.headers }
}

/**
 * Has each device get its cookie from Sluice, and writes who asks as wrk.lua reads it. All contenders are asked by the same
 * devices with the same bytes, whether cookies mean something to them or not.
 */
export async function writeClients(sluicePort: number, folder: string): Promise<(clients: Clients) => string> {
  const known: string[] = []
  for (const address of addresses()) {
    const { status, fields } = await ask(sluicePort, address)
    const cookie = fields['set-cookie']?.[0]?.split(';')[0]
    if (status !== 200 || cookie === undefined) throw new Error(`Sluice gave ${address} no cookie: ${status}`)
    known.push(`${address} ${cookie}`)
  }
  const files: Record<Clients, string> = {
    known: join(folder, 'known'),
    hot: join(folder, 'hot'),
    cookieless: join(folder, 'cookieless'),
    million: 'spread:1000000',
  }
  writeFileSync(files.known, known.join('\n'))
  writeFileSync(files.hot, known.slice(0, HOT_KEYS).join('\n'))
  writeFileSync(files.cookieless, addresses().join('\n'))
  return (clients) => files[clients]
}

function addresses(): string[] {
  return Array.from({ length: KEYS }, (_, i) => `203.0.${i >> 8}.${i & 255}`)
}
