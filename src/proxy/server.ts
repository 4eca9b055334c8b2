import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
import { prefersHtml } from '../http/accept.ts'
import { isSharedCacheable, readCaching } from '../http/caching.ts'
import { isEventStream } from '../http/event-stream.ts'
import { type Facts, hasBody, isRefusal, OTHER_PROTOCOL, readFacts } from '../http/facts.ts'
import type { Fields } from '../http/fields.ts'
import { readRequestId, readTraceId } from '../http/trace.ts'
import type { ClientAddress } from '../identity/client-address.ts'
import { noteConduct } from '../identity/conduct.ts'
import type { MarkProblem } from '../identity/device-mark.ts'
import type { RequestEvidence } from '../identity/identify.ts'
import type { Identity } from '../identity/identity.ts'
import type { Jwks } from '../identity/jwks.ts'
import type { TokenProblem } from '../identity/jwt.ts'
import type { LimitKeys } from '../identity/limit-keys.ts'
import type { Membership } from '../identity/membership.ts'
import type { Decision } from '../limiter/decision.ts'
import type { Limiter } from '../limiter/limiter.ts'
import type { LimitPlan } from '../limiter/plan.ts'
import type { Logger } from '../log.ts'
import type { Metrics, RequestOutcome } from '../metrics/metrics.ts'
import type { Policy } from '../policy/types.ts'
import { addRateFields, rateFields } from './answer-fields.ts'
import { chooseCourse, LOOP } from './choose-course.ts'
import {
  answerUnderWay,
  isFollowedByLoss,
  isOtherProtocol,
  isWebSocket,
  leaveUnanswered,
  MALFORMED,
  type ParseError,
  refuseRaw,
  serveWithoutUpgrade,
  standInResponse,
  statusOfParseError,
  whenAnswered,
} from './connection.ts'
import { addMark, type MarkRequest } from './device-cookie-answer.ts'
import type { Judged } from './evidence-fields.ts'
import { createForwarder, type ForwardFailure, upstreamHost } from './forward.ts'
import { refusalAnswer } from './limited-answer.ts'
import { lingeringClose } from './lingering-close.ts'
import { countRequest, logRequest } from './observe.ts'
import type { Orders } from './orders.ts'
import { type OwnAnswer, sendOwnAnswer } from './own-answer.ts'
import type { RecentRefusals } from './recent-refusals.ts'
import { requestFields } from './request-fields.ts'
import { asRefused, refusalStatus } from './robots.ts'
import { compileRules, type Rules } from './rules.ts'
import { createSlowClients } from './slow-clients.ts'
import type { TopRefused } from './top-refused.ts'
import { createTrustedProxyCheck } from './trusted-proxy-check.ts'
import { createTurns } from './turns.ts'
import { createUpgrader } from './upgrade.ts'

export type ProxyOptions = {
  readonly policy: Policy
  readonly limiter: Limiter
  readonly membership: Membership
  readonly metrics: Metrics
  readonly log: Logger
  readonly clock: Clock
  readonly random: () => number
  /** Milliseconds since the epoch. */
  readonly wallMs: () => number
  /** The keys of the issuers of tokens. */
  readonly jwks: Jwks
  /** Where it is one of several processes: how many there are, and the name they bear in Via. */
  readonly crew: { readonly workers: number; readonly instance: string } | null
  /** The bans and grants of operators. */
  readonly orders: Orders
  readonly topRefused: TopRefused
  readonly recentRefusals: RecentRefusals
}

export type Proxy = {
  readonly server: Server
  /** Puts a new policy in force for the requests that begin from now on. Listeners and the upstream stay as they are. */
  use(policy: Policy): void
  /** Every value that the route label can take under the policy in force. */
  routes(): readonly string[]
  /** The rules in force. */
  rules(): Rules
  /** The name it bears in Via. */
  readonly via: string
  /**
   * Takes no new connection, and ends those that are there: tunnels by their closing handshake, the others with their next
   * answer, or when they have asked nothing for a second. Resolves when all are closed; `cut` is for those that do not end.
   */
  drain(): Promise<void>
  /** Ends every connection at once, with what is under way on it. */
  cut(): void
  /** Ends the tunnels and the connections to the upstream. The server is the caller's to close. */
  close(): Promise<void>
}

/** A request on its way through the steps. What is known grows from step to step; at its end it is observed once. */
type Exchange = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly tunnel: { readonly socket: Duplex; readonly head: Buffer } | null
  readonly rules: Rules
  readonly startUs: number
  requestId: string
  facts: Facts | null
  route: string
  /** Null where no limit applied. */
  judged: Judged | null
  identity: Identity | null
  /** Those of the limits that have a list of sources; null where none applies. */
  keys: LimitKeys | null
  /** What the device's mark depends on; null where it gets none with its answer. */
  mark: MarkRequest | null
  decision: Decision | null
  decisionUs: number
  /** What it comes to if nothing goes wrong from here on; null while that is open. */
  outcome: RequestOutcome | null
  /** The deny entry that matched, also where shadow lets the request pass. */
  denied: string | null
  sentUs: number
  upstreamUs: number | null
  isTunnelOpen: boolean
  isFinished: boolean
}

/** How long (milliseconds) a connection that is kept alive may still bring a request once the proxy is ending. */
const LAST_CALL = 1000

/** A body longer than this, or of unknown length, is not worth reading to keep a refused client's connection. */
const MAX_DRAINED_BYTES = 64 * 1024

/**
 * The proxied port: each request goes through the steps of `run`, in their order (docs/2-how-it-works.md). The decision is
 * taken before the body is read, and synchronously where the limiter can.
 */
export function createProxy(options: ProxyOptions): Proxy {
  const { limiter, membership, metrics, log, clock, random, wallMs, orders, topRefused, recentRefusals } = options
  const { server: settings, upstream } = options.policy
  const forwarder = createForwarder(upstream, settings.requestBuffer)
  const upgrader = createUpgrader(upstream)
  const ownHost = upstreamHost(upstream.url)
  // One name an instance: a request that bears it has been here before (RFC 9110 section 7.6.3).
  const via = `sluice-${options.crew?.instance ?? randomBytes(4).toString('hex')}`
  const surroundings = { via, orders, nowUs: clock.nowUs, wallMs }
  const connections = new Set<Socket>()
  const turns = createTurns()
  const ending = new WeakSet<Socket>()
  /** Connections whose first request has not come: who speaks another protocol does so from the first one on. */
  const unserved = new WeakSet<Socket>()
  /** The exchange whose request has a body, which is the last one on its connection while that is read. */
  const reading = new WeakMap<Socket, Exchange>()
  /** Connections whose response lasts, and comes as slowly as it comes: event streams, tunnels. */
  const lasting = new WeakSet<Socket>()
  const slowClients = createSlowClients<Socket>(connections, {
    minRate: settings.minRate,
    grace: settings.minRateGrace,
    patience: upstream.idleTimeout,
    isBodyAwaited: (socket) => {
      const request = reading.get(socket)?.request
      return request !== undefined && !request.complete && !request.isPaused()
    },
    isRated: (socket) => !lasting.has(socket),
    onSlowBody: (socket) => refuseBody(reading.get(socket)!, 408),
    nowMs: () => performance.now(),
  })
  let underWay = 0
  let decisions = 0
  const compiling = {
    wallMs,
    jwks: options.jwks,
    workers: options.crew?.workers ?? 1,
    onTokenProblem: (reason: TokenProblem) => metrics.badTokens.inc({ reason }),
    onMarkProblem: (reason: MarkProblem) => metrics.badMarks.inc({ reason }),
  }
  let rules = compileRules(options.policy, compiling)
  const trustedProxyCheck = createTrustedProxyCheck({ clock, log })
  trustedProxyCheck.use(options.policy.identity.trustedProxies.length)

  const onRetry = () => metrics.upstreamRetries.inc()
  const onLookAlike = () => metrics.lookAlikes.inc()
  const onOverride = () => metrics.methodOverrides.inc()

  function run(exchange: Exchange): void {
    const { request, rules } = exchange
    const { maxHeaders, maxHeaderBytes } = settings
    if (unserved.delete(request.socket) && isOtherProtocol(request)) {
      return refuse(exchange, 'error', { problem: OTHER_PROTOCOL })
    }
    const facts = readFacts(request, {
      maxHeaders,
      maxTargetBytes: maxHeaderBytes / 2,
      singleFields: rules.singleFields,
    })
    if (isRefusal(facts)) return refuse(exchange, 'error', { problem: facts, fields: allowField(facts.status) })
    exchange.facts = facts
    const client = rules.clientAddress(request.socket.remoteAddress, facts.headers)
    if (client.isPeerTrusted) exchange.requestId = readRequestId(facts.headers['x-request-id']) ?? exchange.requestId
    const isForwarded = !client.isPeerTrusted && facts.names.some((name) => rules.fieldRoles(name).isForwarding)
    if (isForwarded) metrics.untrustedForwarding.inc()
    trustedProxyCheck.note(client, isForwarded)

    const course = chooseCourse(surroundings, rules, facts, client, decisions + 1)
    exchange.route = course.route
    switch (course.kind) {
      case 'looped':
        return refuse(exchange, 'error', LOOPED)
      case 'denied':
      case 'banned':
        exchange.denied = course.entry?.name ?? 'ban'
        if (course.status !== null) return deny(exchange, course.status)
        // Shadow lets it pass, uncounted.
        return forward(exchange, client, 'forwarded')
      case 'exempt':
      case 'granted':
        return forward(exchange, client, 'exempt')
      case 'free':
        return forward(exchange, client, 'forwarded')
      case 'malformed':
        exchange.mark = markRequest(course.evidence, facts, client)
        return refuse(exchange, 'error', { problem: course.problem })
      case 'limited':
        exchange.mark = markRequest(course.evidence, facts, client)
        return identify(exchange, client, course.judged)
    }
  }

  function identify(exchange: Exchange, client: ClientAddress, judged: Judged): void {
    const { evidence, plans, keys, clockUs, wallMs: nowMs } = judged
    decisions = judged.number
    exchange.keys = keys
    exchange.judged = judged
    const identity = membership.stand(evidence, clockUs, nowMs)
    if (!(identity instanceof Promise)) return decide(exchange, client, identity, plans, clockUs)
    identity
      .then((later) => decide(exchange, client, later, plans, clockUs))
      .catch((cause: unknown) => fault(exchange, cause))
  }

  function decide(
    exchange: Exchange,
    client: ClientAddress,
    identity: Identity,
    plans: readonly LimitPlan[],
    decidingUs: number,
  ): void {
    exchange.identity = identity
    const decision = limiter.decide(identity, plans, exchange.rules.policy.mode, decidingUs, exchange.keys)
    if (!(decision instanceof Promise)) return conclude(exchange, client, decision, decidingUs)
    decision
      .then((later) => conclude(exchange, client, later, decidingUs))
      .catch((cause: unknown) => fault(exchange, cause))
  }

  function conclude(exchange: Exchange, client: ClientAddress, decision: Decision, decidingUs: number): void {
    exchange.decision = decision
    const { conduct } = exchange.identity!
    if (conduct !== null) noteConduct(conduct, decision.verdict === 'limited', decidingUs)
    exchange.decisionUs = clock.nowUs() - decidingUs
    if (decision.verdict === 'limited') topRefused.note(exchange.identity!, wallMs())
    // The client may have gone while the store was asked; what it was charged stays charged.
    if (exchange.isFinished) return
    if (decision.verdict === 'allowed') return forward(exchange, client, 'forwarded')
    const { requestId, route, rules } = exchange
    const refusal = refusalAnswer(decision, rules.policy.refuse, random, wallMs())
    const status = refusalStatus(exchange.facts, refusal.problem.status)
    recentRefusals.note(
      { request_id: requestId, route, status, policy: rules.policy.hash },
      exchange.identity!,
      decision,
    )
    refuse(exchange, OUTCOMES[decision.verdict], refusal)
  }

  function deny(exchange: Exchange, status: number): void {
    refuse(exchange, 'denied', { problem: { status, detail: 'This client is not served here.' } })
  }

  function forward(exchange: Exchange, client: ClientAddress, outcome: RequestOutcome): void {
    const { request, response, tunnel, rules } = exchange
    const facts = exchange.facts!
    const network = exchange.identity?.network ?? rules.identify.network(client.address)
    exchange.outcome = outcome
    exchange.sentUs = clock.nowUs()
    const hop = {
      request,
      response,
      method: facts.method,
      path: facts.target.path + facts.target.query,
      fields: requestFields(facts, {
        peer: request.socket.remoteAddress,
        isPeerTrusted: client.isPeerTrusted,
        fieldRoles: rules.fieldRoles,
        onLookAlike,
        onOverride,
        deviceCookie: rules.identify.deviceCookie,
        host: upstream.preserveHost && facts.authority !== '' ? facts.authority : ownHost,
        requestId: exchange.requestId,
        via,
        isHandshake: tunnel !== null,
      }),
      hasBody: facts.hasBody,
      holder: holderOf(exchange.identity) ?? network.id,
      // Whoever has many networks within a wide one has no more of the upstream than that.
      network: network.parents.at(-1)?.id ?? network.id,
      fieldRoles: rules.fieldRoles,
      onLookAlike,
      onRetry,
      onAnswer: (status: number, answer: Fields) => answerFields(exchange, status, answer),
      onFailure: (failure: ForwardFailure) => failed(exchange, failure),
    }
    if (tunnel !== null) {
      const { socket, head } = tunnel
      upgrader.upgrade({ ...hop, socket, head, onOpen: () => opened(exchange), onClose: () => metrics.upgrades.dec() })
      return
    }
    if (facts.expectsContinue) response.writeContinue()
    forwarder.forward(hop)
  }

  function answerFields(exchange: Exchange, status: number, answer: Fields): string[] {
    exchange.upstreamUs = clock.nowUs() - exchange.sentUs
    const { decision, rules } = exchange
    const { method, headers } = exchange.facts!
    const rate = decision && rateFields(decision, rules.policy.refuse.legacyHeaders, wallMs(), null)
    const mark = markOf(exchange)
    let answered = answer.fields
    if (mark !== null || rate !== null) {
      const isAuthorized = headers.authorization !== undefined
      const caching = readCaching(answer)
      const marked = mark === null ? answer : addMark(answer, mark, { method, status, isAuthorized, caching })
      // Where a mark may stand, no shared cache keeps the answer.
      const isKept = marked === answer && isSharedCacheable(method, isAuthorized, caching)
      answered = rate === null || isKept ? marked.fields : addRateFields(marked, rate)
    }
    answered.push('Via', `1.1 ${via}`)
    if (isEventStream(answer)) lasting.add(exchange.request.socket)
    endWith(exchange)
    return answered
  }

  function markOf({ mark, identity, rules }: Exchange): readonly [string, string] | null {
    return mark && (rules.deviceAnswer?.field(mark, identity?.conduct?.grade ?? null) ?? null)
  }

  function failed(exchange: Exchange, failure: ForwardFailure): void {
    const { status, error, detail, cause } = failure
    log.warn({ request_id: exchange.requestId, status, error, cause: String(cause) }, 'upstream failed')
    exchange.outcome = 'error'
    if (exchange.response.headersSent) return breakOff(exchange)
    const fields = ['Proxy-Status', `sluice; error=${error}`]
    if (status === 503) fields.push('Retry-After', '1')
    refuse(exchange, 'error', { problem: { status, detail }, fields })
  }

  /** Half an answer must not look whole: the connection is cut, by a reset where its mere end would end the answer. */
  function breakOff({ request, response }: Exchange): void {
    if (request.httpVersionMinor > 0) response.socket?.destroy()
    else response.socket?.resetAndDestroy()
  }

  /** Answers in our own name. */
  function refuse(exchange: Exchange, outcome: RequestOutcome, answer: OwnAnswer): void {
    const { request, response, facts, rules, requestId, tunnel } = exchange
    exchange.outcome = outcome
    const method = request.method ?? ''
    const close = tunnel !== null || facts === null || isBodyTooLong(facts) || ending.has(request.socket)
    if (close && tunnel === null) closeAfter(request.socket)
    endWith(exchange)
    const mark = markOf(exchange)
    const refused = asRefused(facts, answer)
    const marked = mark === null ? refused : { ...refused, fields: [...(refused.fields ?? []), ...mark] }
    const isReadWhole = !close && !facts.hasBody
    sendOwnAnswer(response, marked, {
      method,
      requestId,
      prefersHtml: prefersHtml(method, request.headers),
      cors: rules.cors(request.headers.origin),
      close,
      isReadWhole,
    })
  }

  /** Answers a request whose body turns out to be malformed, or too slow; its end cancels what went upstream of it. */
  function refuseBody(exchange: Exchange, status: number): void {
    const { request, response } = exchange
    closeAfter(request.socket)
    if (!response.headersSent) return refuse(exchange, 'error', { problem: { status, detail: MALFORMED } })
    if (!response.writableEnded) return breakOff(exchange)
    whenAnswered(request.socket, () => lingeringClose(request.socket))
  }

  /** Answers what is no request, behind the answers that are under way: then the connection ends. */
  function refuseUnread(socket: Socket, status: number): void {
    closeAfter(socket)
    whenAnswered(socket, () => {
      if (!socket.writable) return
      const requestId = randomUUID()
      const finished = { ...UNREAD, requestId, status }
      countRequest(metrics, finished)
      logRequest(log, rules.policy, finished, random)
      refuseRaw(socket, status, requestId)
    })
  }

  /** While the server closes, an answer is the last on its connection, or a client that never pauses would hold it up. */
  function endWith({ request, response }: Exchange): void {
    if (server.listening || turns.isAwaited(request.socket)) return
    response.shouldKeepAlive = false
  }

  /** Lets nothing more be served on a connection: what follows its unread body may be a part of that. */
  function closeAfter(socket: Socket): void {
    ending.add(socket)
    // What node calls after the answer.
    socket.destroySoon = () => lingeringClose(socket)
  }

  function opened(exchange: Exchange): void {
    exchange.isTunnelOpen = true
    lasting.add(exchange.request.socket)
    metrics.inflight.dec()
    metrics.upgrades.inc()
  }

  /** What must never happen has: the request is answered, the process goes on. */
  function fault(exchange: Exchange, cause: unknown): void {
    log.error({ request_id: exchange.requestId, err: cause }, 'a request failed inside the proxy')
    if (exchange.response.headersSent) breakOff(exchange)
    else refuse(exchange, 'error', { problem: { status: 500, detail: 'The proxy failed on this request.' } })
  }

  function finish(exchange: Exchange): void {
    if (exchange.isFinished) return
    exchange.isFinished = true
    underWay--
    if (!exchange.isTunnelOpen) metrics.inflight.dec()
    const { request, response, identity, decision, facts } = exchange
    const isWhole = exchange.isTunnelOpen || response.writableFinished || exchange.outcome === 'error'
    const finished = {
      requestId: exchange.requestId,
      traceId: readTraceId(request.headers.traceparent),
      route: exchange.route,
      method: facts?.method ?? request.method ?? '',
      outcome: isWhole ? (exchange.outcome ?? 'aborted') : 'aborted',
      status: exchange.isTunnelOpen ? 101 : response.headersSent ? response.statusCode : null,
      facts,
      judged: exchange.judged,
      identity,
      decision,
      denied: exchange.denied,
      totalUs: clock.nowUs() - exchange.startUs,
      decisionUs: exchange.decisionUs,
      upstreamUs: exchange.upstreamUs,
    } as const
    countRequest(metrics, finished)
    logRequest(log, exchange.rules.policy, finished, random)
  }

  function accept(request: IncomingMessage, response: ServerResponse, tunnel: Exchange['tunnel'] = null): void {
    const exchange: Exchange = {
      request,
      response,
      tunnel,
      rules,
      startUs: clock.nowUs(),
      requestId: randomUUID(),
      facts: null,
      route: 'default',
      judged: null,
      identity: null,
      keys: null,
      mark: null,
      decision: null,
      decisionUs: 0,
      outcome: null,
      denied: null,
      sentUs: 0,
      upstreamUs: null,
      isTunnelOpen: false,
      isFinished: false,
    }
    underWay++
    metrics.inflight.inc()
    // A stand-in's end closes nothing by itself, and an open tunnel has no answer that could end.
    if (tunnel !== null) response.once('finish', () => finish(exchange))
    const connection = tunnel === null ? response : tunnel.socket
    lasting.delete(request.socket)
    if (hasBody(request.headers)) reading.set(request.socket, exchange)
    connection.on('close', () => finish(exchange))
    try {
      run(exchange)
    } catch (cause) {
      fault(exchange, cause)
    }
  }

  const server = createServer({
    maxHeaderSize: settings.maxHeaderBytes,
    headersTimeout: settings.headerTimeout,
    // slow-clients.ts holds bodies to a rate instead: a steady slow upload may take hours.
    requestTimeout: 0,
    keepAliveTimeout: settings.keepAliveTimeout,
    connectionsCheckingInterval: Math.min(30_000, Math.max(100, settings.headerTimeout / 4)),
    // Both are refused by us, with a problem document, instead of with an empty 400 or by silently dropping fields.
    requireHostHeader: false,
    insecureHTTPParser: false,
    // From 24.9 on; node 20 hands over all that asks for another protocol, with what follows its head unread.
    ...{ shouldUpgradeCallback: (request: IncomingMessage) => !hasBody(request.headers) },
  })
  server.maxHeadersCount = 0
  server.maxConnections = settings.maxConnections
  server.on('connection', (socket) => {
    // One that is given back after an unanswered Upgrade comes again.
    if (connections.has(socket)) return
    connections.add(socket)
    unserved.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  function serve(request: IncomingMessage, response: ServerResponse): void {
    if (ending.has(request.socket)) {
      leaveUnanswered(request, response)
      return turns.noteUnanswered(request.socket)
    }
    if (isFollowedByLoss(request)) {
      closeAfter(request.socket)
      response.shouldKeepAlive = false
    }
    if (response.socket === null) turns.await(request, response, () => accept(request, response))
    else accept(request, response)
  }

  /** Serves a request with which its connection leaves node's server, in its turn behind those before it. */
  function serveLast(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    whenAnswered(socket, () => {
      if (ending.has(request.socket)) return lingeringClose(socket)
      if (!socket.writable) return void socket.destroy()
      if (request.method !== 'CONNECT' && !isWebSocket(request)) {
        return serveWithoutUpgrade(server, request, socket, head)
      }
      accept(request, standInResponse(request, socket), { socket, head })
    })
  }

  server.on('request', serve)
  // The decision, not the arrival, invites the body: `forward` sends 100 Continue.
  server.on('checkContinue', serve)
  server.on('checkExpectation', serve)
  server.on('connect', serveLast)
  server.on('upgrade', serveLast)
  server.on('clientError', (cause: ParseError, duplex) => {
    const socket = duplex as Socket
    // Node tells of each further piece of what could not be parsed: it has been refused.
    if (socket.writableEnded) return
    const isUnderWay = answerUnderWay(socket) !== null
    const hasGone = !socket.writable || (isUnderWay && cause.code === 'HPE_INVALID_EOF_STATE')
    // Nor is a connection on which nothing ever came worth an answer.
    if (hasGone || socket.bytesRead === 0) return void socket.destroy()
    if (ending.has(socket)) return
    const status = statusOfParseError(cause, settings.maxHeaderBytes)
    const exchange = reading.get(socket)
    if (exchange !== undefined && !exchange.request.complete) refuseBody(exchange, status)
    else {
      const dropped = turns.dropIncomplete(socket)
      if (dropped !== null) leaveUnanswered(dropped.req, dropped)
      refuseUnread(socket, status)
    }
  })

  return {
    server,
    use(policy) {
      rules = compileRules(policy, compiling, rules)
      trustedProxyCheck.use(policy.identity.trustedProxies.length)
    },
    routes: () => rules.routes,
    rules: () => rules,
    via,
    async drain() {
      const closed = once(server, 'close')
      // Not http's own close: it would at once end connections on which a request is already on its way.
      NetServer.prototype.close.call(server)
      upgrader.leave()
      Object.assign(server, { keepAliveTimeout: LAST_CALL, keepAliveTimeoutBuffer: 0 })
      // The timeout of those that wait for their next request; of the others there is none, or the tunnel's.
      for (const socket of connections)
        if (answerUnderWay(socket) === null && socket.timeout) socket.setTimeout(LAST_CALL)
      const silent = setTimeout(() => {
        for (const socket of connections) if (socket.bytesRead === 0) socket.destroy()
      }, LAST_CALL)
      await closed
      clearTimeout(silent)
      // What http adds to the close of a server: it stops looking for slow headers.
      server.close()
    },
    cut() {
      upgrader.close()
      // All of them, for of those that asked for an upgrade node's server no longer knows.
      for (const socket of connections) socket.destroy()
    },
    async close() {
      slowClients.close()
      upgrader.close()
      // Connections that the server has just closed tell so within a few turns: their requests are aborted, not failed.
      for (let turn = 0; underWay > 0 && turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
      await forwarder.close()
    },
  }
}

/** A client that is known by itself, and so has a share of the upstream of its own; null for all others of a network. */
function holderOf(identity: Identity | null): string | null {
  if (identity === null || identity.pool === 'newcomers') return null
  return identity.own?.id ?? null
}

const LOOPED: OwnAnswer = { problem: LOOP }

function markRequest(evidence: RequestEvidence, { headers }: Facts, { isPeerTrusted }: ClientAddress): MarkRequest {
  return { evidence, headers, isPeerTrusted }
}

const OUTCOMES = { limited: 'limited', missing: 'denied', unavailable: 'error' } as const

/** What is known of a request that could not be parsed. */
const UNREAD = {
  traceId: null,
  route: 'default',
  method: '',
  outcome: 'error',
  facts: null,
  judged: null,
  identity: null,
  decision: null,
  denied: null,
  totalUs: 0,
  decisionUs: 0,
  upstreamUs: null,
} as const

function isBodyTooLong({ hasBody, expectsContinue, headers }: Facts): boolean {
  if (!hasBody) return false
  return expectsContinue || !(Number(headers['content-length']) <= MAX_DRAINED_BYTES)
}

function allowField(status: number): string[] {
  return status === 405 ? ['Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'] : []
}
