import { type AddressInfo, createServer, type Socket } from 'node:net'

export type Upstream = { readonly port: number; close(): Promise<void> }

const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}'

/**
 * The least upstream that there is: one answer, without a word on caching, for every request without a body. `onRequest` gets
 * each request's head (latin1).
 */
export async function startUpstream(onRequest?: (head: string) => void): Promise<Upstream> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    let pending = ''
    socket.on('data', (bytes) => {
      const parts = (pending + bytes.toString('latin1')).split('\r\n\r\n')
      pending = parts.pop()!
      if (onRequest !== undefined) parts.forEach(onRequest)
      if (parts.length > 0) socket.write(ANSWER.repeat(parts.length))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
