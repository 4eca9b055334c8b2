import type { Jar } from './jar.ts'

export type Field = readonly [name: string, value: string]

/** The header fields of a request as its sender chose them, and what the baselines read in them. */
export type Head = {
  /** The lines as they go over the wire. */
  readonly text: string
  readonly userAgent: string
  /** User-Agent, Accept-Language, Accept, Accept-Encoding and the token, as header fingerprints take them. */
  readonly fingerprint: string
}

/** One request on its way to the proxy. */
export type Message = {
  readonly head: Head
  /** Where it comes from: what the ingress writes into X-Forwarded-For. */
  readonly address: string
  /** Through the trusted ingress, or straight from a peer that nobody trusts. */
  readonly route: 'ingress' | 'direct'
  /** The cookies that go with it and come back; null for who keeps none. */
  readonly jar: Jar | null
}

const FINGERPRINTED = ['user-agent', 'accept-language', 'accept', 'accept-encoding', 'authorization']

export function headOf(fields: readonly Field[]): Head {
  const values = new Map(fields.map(([name, value]) => [name.toLowerCase(), value]))
  return {
    text: fields.map(([name, value]) => `${name}: ${value}\r\n`).join(''),
    userAgent: values.get('user-agent') ?? '',
    fingerprint: FINGERPRINTED.map((name) => values.get(name) ?? '').join('\n'),
  }
}

/** The bytes (latin1) of a request, as an ingress or a client writes them. */
export function wireOf({ head, address, route, jar }: Message): string {
  const cookies = jar?.field() ?? ''
  const forwarding = route === 'ingress' ? `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: https\r\n` : ''
  return `GET /api HTTP/1.1\r\nHost: app.example\r\n${head.text}${forwarding}${cookies && `Cookie: ${cookies}\r\n`}\r\n`
}
