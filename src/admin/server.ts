import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Metrics } from '../metrics/metrics.ts'
import { isCrossSite, isLocalName, judgeAccess } from './access.ts'
import type { AuthFailures } from './auth-failures.ts'
import { readBody } from './read-body.ts'
import { type AdminAnswer, type AdminRoute, problem, routesOf, text } from './route.ts'

export type AdminOptions = {
  readonly metrics: { readonly registry: Pick<Metrics['registry'], 'metrics' | 'contentType'> }
  /** Whether new requests are welcome: false while draining. */
  readonly isReady: () => boolean
  /** Refreshes the gauges that are read, not counted, before they are shown. */
  readonly onScrape: () => void
  readonly isLoopback: boolean
  /** The token in force; null where the policy sets none. */
  readonly token: () => string | null
  /** What it has beside metrics and health. */
  readonly routes: readonly AdminRoute[]
  /** Told of what could not be answered, unless the client has left. */
  readonly onFault: (cause: unknown) => void
  readonly authFailures: AuthFailures
}

/** Milliseconds that a request may take to come in: no body here is long. */
const REQUEST_TIMEOUT = 10_000
/** Connections at a time, of all and of one address: operators, Prometheus and health checks need few. */
const MAX_CONNECTIONS = 256
const MAX_CONNECTIONS_PER_PEER = 64

/**
 * The admin port: `/metrics`, `/livez`, `/readyz`, and the routes of the page and the API, as `judgeAccess` allows them. It is a
 * listener of its own and cannot be reached through the proxied one. On loopback a request must name it by address or as
 * localhost; elsewhere it is asked for under whatever name the network gives it.
 */
export function createAdminServer(options: AdminOptions): Server {
  const routes = [...healthRoutes(options), ...options.routes]

  async function answer(request: IncomingMessage): Promise<AdminAnswer> {
    const { headers, method = '', url = '' } = request
    if (options.isLoopback && !isLocalName(headers.host)) {
      return problem(421, 'The admin port answers to its address or to localhost only.')
    }
    const mark = url.indexOf('?')
    const path = mark === -1 ? url : url.slice(0, mark)
    const query = mark === -1 ? '' : url.slice(mark + 1)
    const { found, id } = routesOf(routes, path)
    const route = found.find((one) => one.method === (method === 'HEAD' ? 'GET' : method))
    const access = route?.access ?? found[0]?.access ?? 'read'
    const refusal = judgeAccess(access, headers, { token: options.token(), isLoopback: options.isLoopback })
    if (refusal !== null) {
      const isWrongToken = refusal.status === 401 && headers.authorization !== undefined
      if (isWrongToken) await options.authFailures.note(request.socket.remoteAddress, path)
      return refusal
    }
    if (found.length === 0)
      return problem(404, 'The admin port has /, /metrics, /livez, /readyz, and the API that docs/12 lists.')
    if (route === undefined) {
      const methods = found.flatMap((one) => (one.method === 'GET' ? ['GET', 'HEAD'] : [one.method])).join(', ')
      return problem(405, `${path} is for ${methods}.`, ['Allow', methods])
    }
    const given = { id, query: new URLSearchParams(query) }
    if (route.method === 'GET') return route.answer({ ...given, body: {} })
    if (isCrossSite(headers))
      return problem(403, "This comes from another site's page, and pages of other sites may not ask.")
    const read = await readBody(request)
    return 'refusal' in read ? read.refusal : route.answer({ ...given, body: read.body })
  }

  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT, headersTimeout: REQUEST_TIMEOUT },
    (request, response) => {
      answer(request)
        .then((answered) => send(request, response, answered))
        .catch((cause: unknown) => {
          if (response.destroyed) return
          options.onFault(cause)
          send(request, response, problem(503, 'This could not be answered: the proxy is busy or ending.'))
        })
        .catch(() => response.destroy())
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  return boundPerPeer(server)
}

/** Closes connections of one address beyond its share, so that no address takes the health checks' places. */
function boundPerPeer(server: Server): Server {
  const open = new Map<string, number>()
  server.on('connection', (socket) => {
    const peer = socket.remoteAddress ?? ''
    const count = (open.get(peer) ?? 0) + 1
    if (count > MAX_CONNECTIONS_PER_PEER) return void socket.destroy()
    open.set(peer, count)
    socket.once('close', () => {
      const left = open.get(peer)! - 1
      if (left === 0) open.delete(peer)
      else open.set(peer, left)
    })
  })
  return server
}

function healthRoutes({ metrics, isReady, onScrape }: AdminOptions): readonly AdminRoute[] {
  const open = { method: 'GET', access: 'open' } as const
  return [
    {
      ...open,
      path: '/metrics',
      async answer() {
        onScrape()
        return { status: 200, type: metrics.registry.contentType, body: await metrics.registry.metrics() }
      },
    },
    { ...open, path: '/livez', answer: () => text(200, 'alive\n') },
    { ...open, path: '/readyz', answer: () => (isReady() ? text(200, 'ready\n') : text(503, 'draining\n')) },
  ]
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, type, body, fields = [] }: AdminAnswer,
): void {
  // A body that nobody will read is not waited for.
  if (!request.complete) response.shouldKeepAlive = false
  response.writeHead(status, [
    ...['Content-Type', type, 'Content-Length', String(Buffer.byteLength(body)), 'Cache-Control', 'no-store'],
    ...[
      'X-Content-Type-Options',
      'nosniff',
      'Cross-Origin-Resource-Policy',
      'same-origin',
      'Referrer-Policy',
      'no-referrer',
    ],
    ...fields,
  ])
  response.end(request.method === 'HEAD' ? undefined : body)
}
