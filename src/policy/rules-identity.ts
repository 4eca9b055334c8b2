import type { Draft, DraftOf, IsGiven, Report } from './draft.ts'
import { show } from './show.ts'
import type { NetworkParent } from './types.ts'

type Identity = NonNullable<Draft['identity']>

/** Fields with a meaning of their own: as a device's token they would be taken away from the upstream. */
const NO_TOKEN_HEADER = ['authorization', 'connection', 'content-length', 'cookie', 'host', 'transfer-encoding']

/** What must hold between the keys of `identity`. */
export function checkIdentity({ identity }: Draft, isGiven: IsGiven, report: Report): void {
  if (identity === undefined) return
  const at: Report = (path, message) => report(['identity', ...path], message)
  checkJwt(identity, at)
  checkTokenHeader(identity, at)
  if (isGiven(['identity', 'network', 'ipv6_parents'])) {
    checkParents(identity.network?.ipv6_parents, identity, ['network', 'ipv6_parents'], at)
  }
  checkNetworks(identity, at)
}

/** What is odd about `identity` without being wrong. */
export function warnAboutIdentity(draft: Draft, isGiven: IsGiven, warn: Report): void {
  const { identity } = draft
  warnAboutTrust(draft, isGiven, warn)
  const everybody = identity?.trusted_proxies?.flat().find((cidr) => cidr?.endsWith('/0'))
  if (everybody !== undefined) {
    warn(
      ['identity', 'trusted_proxies'],
      `${everybody} trusts every peer, so clients choose their own address; write the networks of your proxies`,
    )
  }
  if (identity?.client_certificate && identity.trusted_proxies?.length === 0) {
    warn(
      ['identity', 'client_certificate'],
      'is believed from trusted proxies only, and there are none; write identity.trusted_proxies',
    )
  }
  for (const [index, issuer] of (identity?.jwt ?? []).entries()) {
    if (!issuer?.jwks_url?.startsWith('http:')) continue
    warn(
      ['identity', 'jwt', index, 'jwks_url'],
      'is http, so whoever sits in between can put in keys of their own; write https',
    )
  }
}

/**
 * Behind a proxy that nobody trusts all clients are one network: the mistake that refuses everybody at once. A policy that
 * names a field for the client's address, or waits for a balancer at its end, expects one.
 */
function warnAboutTrust({ identity, server }: Draft, isGiven: IsGiven, warn: Report): void {
  const { trusted_proxies: trusted, client_address: source } = identity ?? {}
  if (trusted?.length !== 0 || source === undefined || source === 'peer') return
  const isNobodyMeant = isGiven(['identity', 'trusted_proxies'])
  if (source !== 'x-forwarded-for' || (isGiven(['identity', 'client_address']) && !isNobodyMeant)) {
    const message = 'is believed from trusted proxies only, and there are none; write identity.trusted_proxies'
    warn(['identity', 'client_address'], `${source} ${message}`)
  } else if (server?.drain_delay && !isNobodyMeant) {
    warn(
      ['identity', 'trusted_proxies'],
      'is not given, but server.drain_delay is, which is for a balancer in front: all its clients count as one network; write its addresses, or [] where it hides nobody',
    )
  }
}

function checkJwt({ jwt }: Identity, report: Report): void {
  for (const [index, issuer] of (jwt ?? []).entries()) {
    if (issuer === undefined) continue
    const { jwks_url: url, jwks_file: file } = issuer
    if (url && file) report(['jwt', index, 'jwks_file'], 'is given beside jwks_url; keep one of them')
    if (url === null && file === null) {
      report(
        ['jwt', index],
        'has no keys to verify by; write jwks_url: https://idp.example/jwks, or jwks_file with the name of a file',
      )
    }
  }
}

function checkTokenHeader(
  { device_cookie: cookie, api_keys: keys, client_certificate: certificate }: Identity,
  report: Report,
): void {
  const name = cookie?.token_header
  if (name === undefined) return
  const isTaken = NO_TOKEN_HEADER.includes(name) || name === keys?.header || name === certificate?.header
  if (isTaken) report(['device_cookie', 'token_header'], `${show(name)} has another meaning; write device-token`)
}

function checkParents(
  parents: DraftOf<readonly NetworkParent[]>,
  { network }: Identity,
  path: readonly (string | number)[],
  report: Report,
): void {
  const seen = new Set<number>()
  for (const [index, parent] of (parents ?? []).entries()) {
    const prefix = parent?.prefix
    if (prefix === undefined) continue
    const at = [...path, index, 'prefix']
    const own = network?.ipv6
    if (own !== undefined && prefix >= own) {
      report(
        at,
        `/${prefix} is not wider than a network, which is a /${own}; write at most ${own - 1}, or leave it out`,
      )
    }
    if (seen.has(prefix)) report(at, `/${prefix} is given twice; keep one of them`)
    seen.add(prefix)
  }
}

function checkNetworks(identity: Identity, report: Report): void {
  const first = new Map<string, number>()
  for (const [index, known] of (identity.networks ?? []).entries()) {
    if (known === undefined) continue
    const { cidr, max_devices: maxDevices, ipv6_parents: parents } = known
    if (maxDevices === null && parents === null) {
      report(['networks', index], 'says nothing of the network; write max_devices, or ipv6_parents')
    }
    if (parents) checkParents(parents, identity, ['networks', index, 'ipv6_parents'], report)
    if (cidr === undefined) continue
    const earlier = first.get(cidr)
    if (earlier === undefined) first.set(cidr, index)
    else report(['networks', index, 'cidr'], `${show(cidr)} is networks[${earlier}] too; keep one of them`)
    checkWidth(cidr, identity, (message) => report(['networks', index, 'cidr'], message))
    if (parents && !cidr.includes(':')) {
      report(['networks', index, 'ipv6_parents'], 'is for IPv6 networks only; leave it out')
    }
  }
}

/** An entry names whole networks: of a part, other addresses of the same network would say otherwise. */
function checkWidth(cidr: string, { network }: Identity, report: (message: string) => void): void {
  const narrowest = cidr.includes(':') ? network?.ipv6 : network?.ipv4
  if (narrowest === undefined || Number(cidr.split('/')[1]) <= narrowest) return
  report(`${show(cidr)} is a part of a network, which is a /${narrowest}; write a prefix of at most ${narrowest}`)
}
