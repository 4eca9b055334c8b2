import { connect as connectTcp, isIP, type OnReadOpts, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext } from 'node:tls'
import type { UpstreamPolicy } from '../../policy/types.ts'

export type Connect = {
  /** Begins a connection. Its bytes go to `onread` where that is given and TLS is not spoken, else into 'data' events. */
  open(onread?: OnReadOpts): Socket
  /** The event with which a connection may be written to. */
  readonly readyEvent: 'connect' | 'secureConnect'
}

/** Probes that find out whether a silent peer is still there begin after so long (milliseconds). */
const PROBE_DELAY = 60_000

/** What the upstream of a URL is called in Host, where the client's name for it is not kept. */
export function upstreamHost(url: string): string {
  return isSocket(url) ? 'localhost' : new URL(url).host
}

/** Reads where the upstream is, and its certificates, once. The certificate of an https:// upstream is always verified. */
export function compileConnect({ url, tls }: UpstreamPolicy): Connect {
  const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: PROBE_DELAY }
  if (isSocket(url)) {
    const path = url.slice('unix:'.length)
    return {
      open: (onread) => connectTcp({ path, ...(onread && { onread }) }),
      readyEvent: 'connect',
    }
  }
  const { protocol, hostname, port } = new URL(url)
  const address = { ...options, host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) }
  if (protocol === 'http:') {
    const tcp = { ...address, port: address.port || 80 }
    return { open: (onread) => connectTcp(onread ? { ...tcp, onread } : tcp), readyEvent: 'connect' }
  }
  const { ca, cert, key, serverName } = tls ?? {}
  // No name is asked for where there is only an address (RFC 6066 section 3): that is verified as it is.
  const servername = serverName ?? (isIP(address.host) === 0 ? address.host : undefined)
  const secure = {
    ...address,
    port: address.port || 443,
    secureContext: createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }),
    ...(servername && { servername }),
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: true,
  }
  return { open: () => connectTls(secure), readyEvent: 'secureConnect' }
}

function isSocket(url: string): boolean {
  return url.startsWith('unix:')
}
