import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { type Facts, isRefusal, readFacts } from '../../src/http/facts.ts'

export type RequestLike = {
  readonly method?: string
  readonly url?: string
  /** Names and values in turn, beside Host. */
  readonly fields?: readonly string[]
  readonly host?: string
  readonly httpVersion?: '1.0' | '1.1'
  readonly singleFields?: readonly string[]
}

type ParsedMessage = IncomingMessage & { _addHeaderLines(fields: string[], count: number): void }

/** The facts of a request; node itself joins its fields. Throws for one that is refused. */
export function factsOf(request: RequestLike = {}): Facts {
  const { method = 'GET', url = '/', fields = [], host = 'a.example', httpVersion = '1.1', singleFields = [] } = request
  const message = new IncomingMessage(new Socket())
  message.method = method
  message.url = url
  message.httpVersion = httpVersion
  message.httpVersionMajor = 1
  message.httpVersionMinor = Number(httpVersion.at(-1))
  const rawHeaders = ['Host', host, ...fields]
  // What node's parser calls; `headers` is made from it by node's own rules for repeated fields.
  ;(message as ParsedMessage)._addHeaderLines(rawHeaders, rawHeaders.length)
  const facts = readFacts(message, { maxHeaders: 100, maxTargetBytes: 8192, singleFields })
  if (isRefusal(facts)) throw new Error(`${method} ${url} is refused: ${facts.detail}`)
  return facts
}
