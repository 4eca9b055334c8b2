import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import type { IdentityPolicy } from '../policy/types.ts'
import { type Address, networkOf } from './address.ts'
import { compileCredential } from './credential.ts'
import { languageTags } from './header-class.ts'
import type { Identity, Network } from './identity.ts'
import type { Keyring } from './keyring.ts'

export type Identify = {
  network(address: Address): Network
  identity(network: Network, headers: IncomingHttpHeaders): Identity
}

/** Characters of a pseudonym that keep keys together: 48 bits. */
const TAG_LENGTH = 8

/**
 * Compiles who a request comes from. Pseudonyms are remembered by the raw values they were made from, so that a client
 * that comes back costs no HMAC; the memory is bounded by bytes, not entries, for a client chooses how long its values are.
 */
export function compileIdentify(policy: IdentityPolicy, keyring: Keyring): Identify {
  const readCredential = compileCredential(policy.apiKeys)
  const networks = new LRUCache<string, Network>({ max: 20_000 })
  const identities = new LRUCache<string, Identity>({
    maxSize: 16 * 1024 * 1024,
    sizeCalculation: (_, key) => key.length + 200,
  })

  function network(address: Address): Network {
    let known = networks.get(address.text)
    if (known === undefined) {
      const id = keyring.pseudonym('network', [networkOf(address, policy.network)])
      known = { id, tag: id.slice(0, TAG_LENGTH), address: address.text, parents: [], maxDevices: 512 }
      networks.set(address.text, known)
    }
    return known
  }

  function identity(from: Network, headers: IncomingHttpHeaders): Identity {
    const { principal, claims } = readCredential(headers)
    const userAgent = headers['user-agent'] ?? ''
    const language = headers['accept-language'] ?? ''
    const parts = principal === null ? [from.id, userAgent, language, ...claims] : ['', principal, from.id]
    const key = parts.map(prefixed).join('')
    const known = identities.get(key)
    // Two addresses of one network share their identities; the address itself is the request's own.
    if (known !== undefined) return known.network === from ? known : { ...known, network: from }
    const made = principal === null ? classify(from, userAgent, language, claims) : prove(from, principal)
    identities.set(key, made)
    return made
  }

  function prove(from: Network, principal: string): Identity {
    const id = keyring.pseudonym('principal', ['api_key', principal])
    const own = { id, tag: id.slice(0, TAG_LENGTH) }
    return { ...NOBODY, tier: 'principal', ...own, own, network: from, pool: 'none' }
  }

  function classify(from: Network, userAgent: string, language: string, claims: readonly string[]): Identity {
    const tags = languageTags(language)
    const isNameless = userAgent === '' && tags === '' && claims.every((claim) => claim === '')
    const id = keyring.pseudonym('class', isNameless ? [from.id] : [from.id, userAgent, tags, ...claims])
    return { ...NOBODY, tier: isNameless ? 'overflow' : 'class', id, classId: id, tag: from.tag, network: from }
  }

  return { network, identity }
}

const NOBODY = {
  own: null,
  pool: 'newcomers',
  classId: '',
  isSettled: true,
  crowds: [{ members: 0, halfWeights: 0 }],
  debut: null,
  conduct: null,
} as const

function prefixed(part: string): string {
  return `${part.length}:${part}`
}
