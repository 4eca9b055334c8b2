import { connect, type Socket } from 'node:net'
import { type Message, wireOf } from './message.ts'

export type Link = {
  /**
   * Sends the messages, pipelined in this order, and resolves with their statuses when all are answered; cookies are in
   * their jars by then. One exchange at a time. Rejects when the proxy hangs up.
   */
  exchange(messages: readonly Message[]): Promise<readonly number[]>
  close(): void
}

/** One connection to the proxy that stays open: raw, because the harness must cost less than what it drives. */
export async function openLink(port: number, localAddress: string): Promise<Link> {
  const socket = await open(port, localAddress)
  let waiting: readonly Message[] = []
  let statuses: number[] = []
  let pending = ''
  let settle: { resolve(statuses: readonly number[]): void; reject(cause: Error): void } | null = null

  function takeAnswers(): void {
    let at = 0
    while (statuses.length < waiting.length) {
      const end = pending.indexOf('\r\n\r\n', at)
      if (end === -1) break
      const head = pending.slice(at, end + 2)
      const length = /\r\ncontent-length: *(\d+)/i.exec(head)
      if (length === null) return fail(new Error(`an answer without a length: ${head}`))
      const next = end + 4 + Number(length[1])
      if (pending.length < next) break
      const jar = waiting[statuses.length]!.jar
      if (jar !== null) for (const [, cookie] of head.matchAll(/\r\nset-cookie: *([^\r]*)/gi)) jar.take(cookie!)
      statuses.push(Number(head.slice(9, 12)))
      at = next
    }
    pending = pending.slice(at)
    if (settle === null || statuses.length < waiting.length) return
    const { resolve } = settle
    settle = null
    resolve(statuses)
  }

  function fail(cause: Error): void {
    settle?.reject(cause)
    settle = null
    socket.destroy()
  }

  socket.on('data', (bytes) => {
    pending += bytes.toString('latin1')
    takeAnswers()
  })
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the proxy closed the connection')))
  return {
    exchange(messages) {
      waiting = messages
      statuses = []
      return new Promise((resolve, reject) => {
        settle = { resolve, reject }
        socket.write(messages.map(wireOf).join(''), 'latin1')
      })
    },
    close: () => void socket.destroy(),
  }
}

function open(port: number, localAddress: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, localAddress, noDelay: true })
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
    socket.once('error', reject)
  })
}
