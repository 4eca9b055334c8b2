import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { PROBLEM_TYPE, problemBody } from '../http/problem.ts'
import type { Metrics } from '../metrics/metrics.ts'

export type AdminOptions = {
  readonly metrics: { readonly registry: Pick<Metrics['registry'], 'metrics' | 'contentType'> }
  /** Whether new requests are welcome: false while draining. */
  readonly isReady: () => boolean
  /** Refreshes the gauges that are read, not counted, before they are shown. */
  readonly onScrape: () => void
  readonly isLoopback: boolean
}

/**
 * The admin port: `/metrics`, `/livez`, `/readyz`. It is a listener of its own and cannot be reached through the proxied one.
 * On loopback a request must name it by address or as localhost, so that a web page whose name was rebound to 127.0.0.1
 * cannot read it (DNS rebinding); elsewhere it is scraped under whatever name the network gives it.
 */
export function createAdminServer(options: AdminOptions): Server {
  const { metrics } = options

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (options.isLoopback && !isLocalName(request.headers.host)) {
      return problem(response, 421, 'The admin port answers to its address or to localhost only.')
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      return problem(response, 405, 'The admin port is for reading.')
    }
    switch (request.url?.split('?', 1)[0]) {
      case '/metrics':
        options.onScrape()
        return text(response, 200, await metrics.registry.metrics(), metrics.registry.contentType)
      case '/livez':
        return text(response, 200, 'alive\n')
      case '/readyz':
        return options.isReady() ? text(response, 200, 'ready\n') : text(response, 503, 'draining\n')
      case '/':
        return text(response, 200, 'Sluice: /metrics, /livez, /readyz\n')
      default:
        return problem(response, 404, 'The admin port has /metrics, /livez and /readyz.')
    }
  }

  return createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
}

function text(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

function problem(response: ServerResponse, status: number, detail: string): void {
  text(response, status, problemBody({ status, detail }), PROBLEM_TYPE)
}

function isLocalName(host: string | undefined): boolean {
  const name = (host ?? '').replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1')
  return name.toLowerCase() === 'localhost' || isIP(name) !== 0
}
