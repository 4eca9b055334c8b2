import { createServer, type IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import type { Question } from './question.ts'

/** What node's parser makes of a request, or null where it would refuse it: the server's own parser, on a stream of our own. */
export function readRequest({ method, target, fields }: Question): Promise<IncomingMessage | null> {
  const lines = [`${method} ${target} HTTP/1.1`, ...fields.map(([name, value]) => `${name}: ${value}`)]
  return new Promise((resolve) => {
    const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
    const settle = (request: IncomingMessage | null) => {
      resolve(request)
      // Behind whatever the parser has still to say of these bytes.
      setImmediate(() => stream.destroy())
    }
    const server = createServer({ requireHostHeader: false, connectionsCheckingInterval: 2 ** 30 }, settle)
    for (const event of ['upgrade', 'checkContinue', 'checkExpectation', 'connect']) server.on(event, settle)
    server.on('clientError', () => settle(null))
    server.emit('connection', stream)
    stream.push(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'))
    stream.push(null)
    stream.once('close', () => {
      resolve(null)
      server.close()
    })
  })
}
