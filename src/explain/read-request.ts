import { createServer, type IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import { type ParseError, statusOfParseError } from '../proxy/connection.ts'
import type { Question } from './question.ts'

/**
 * What node's parser makes of a request, or the status with which the proxy answers what it refuses: the server's own parser, on
 * a stream of our own.
 */
export function readRequest(
  { method, target, fields }: Question,
  maxHeaderBytes: number,
): Promise<IncomingMessage | number> {
  const lines = [`${method} ${target} HTTP/1.1`, ...fields.map(([name, value]) => `${name}: ${value}`)]
  return new Promise((resolve) => {
    const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
    const settle = (read: IncomingMessage | number) => {
      resolve(read)
      // Behind whatever the parser has still to say of these bytes.
      setImmediate(() => stream.destroy())
    }
    const server = createServer(
      { requireHostHeader: false, connectionsCheckingInterval: 2 ** 30, maxHeaderSize: maxHeaderBytes },
      settle,
    )
    for (const event of ['upgrade', 'checkContinue', 'checkExpectation', 'connect']) server.on(event, settle)
    server.on('clientError', (cause: ParseError) => settle(statusOfParseError(cause, maxHeaderBytes)))
    server.emit('connection', stream)
    stream.push(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'))
    stream.push(null)
    stream.once('close', () => {
      resolve(400)
      server.close()
    })
  })
}
