import * as z from 'zod'
import { NAMED_NETWORKS, readCidr } from './address.ts'
import { CDN_NETWORKS } from './cdn-networks.ts'
import { choice, duration, flag, list, oneOrMany, optional, text, whole } from './field.ts'
import { readFieldName, TOKEN } from './pattern.ts'
import { fileName, secretText, someText } from './schema-common.ts'
import { show } from './show.ts'
import { JWT_ALGORITHMS } from './types.ts'
import { RATE, readRate } from './units.ts'
import { readJwksUrl } from './url.ts'

const fieldName = () => text({ what: "a header's name", write: 'one such as x-api-key' }, TOKEN, readFieldName)
const rate = () => text({ what: 'a rate', write: 'one such as 64/min' }, RATE, readRate)
const enrolment = () => choice(['controlled', 'open'])

/** The larger networks that an IPv6 network lies in, where a policy names none; of those only the larger ones count. */
export const IPV6_PARENTS = [
  { prefix: 56, factor: 1 },
  { prefix: 48, factor: 4 },
]

const network = z
  .strictObject({
    ipv4: whole(1, 32).prefault(32).describe('How many bits of an IPv4 address name a network.'),
    ipv6: whole(1, 128).prefault(64).describe('How many bits of an IPv6 address name a network.'),
    ipv6_parents: parents()
      .prefault(IPV6_PARENTS)
      .describe('Larger IPv6 networks that are limited too, each with so many times the allowance.'),
  })
  .prefault({})
  .describe('What counts as one network.')

const deviceCookie = z
  .strictObject({
    enabled: flag().prefault(true).describe('Whether devices get a signed cookie of their own.'),
    max_age: duration(3_600_000).prefault('7d').describe('How long the cookie lasts after it was last signed.'),
    same_site: choice(['lax', 'strict', 'none'])
      .prefault('lax')
      .describe("The cookie's SameSite; none works over https only."),
    token_header: fieldName().prefault('device-token').describe('The header that carries the same value for apps.'),
  })
  .prefault({})
  .describe('The device cookie.')

const admission = z
  .strictObject({
    max_devices: whole(1, 100_000).prefault(512).describe('How many devices of a network are members at a time.'),
    burst: whole(1, 100_000).prefault(128).describe('How many are admitted at once.'),
    rate: rate().prefault('64/min').describe('How fast more are admitted.'),
    idle: duration().prefault('30m').describe('How long a member stays without a request.'),
  })
  .prefault({})
  .describe('How fast a network may bring new devices.')

const jwt = z.strictObject({
  issuer: someText().describe('The `iss` that tokens must bear.'),
  audience: oneOrMany(someText()).describe('The `aud` that tokens must bear; of a list, one.'),
  jwks_url: optional(
    text({ what: 'an address of keys', write: 'one such as https://idp.example/jwks' }, /^/, readJwksUrl),
  ).describe('Where the keys are fetched from; in the background, so that no request ever waits.'),
  jwks_file: optional(fileName()).describe('A file with the keys, a JWK Set, instead of jwks_url.'),
  algorithms: list(choice(JWT_ALGORITHMS)).describe('The algorithms that are accepted.'),
  principal: list(someText())
    .prefault(['iss', 'sub'])
    .describe('The claims whose values together name the principal; left out, iss and sub.'),
  enrolment: enrolment().describe('controlled: an account costs something. open: anyone can have one.'),
})

const apiKeys = z.strictObject({
  header: fieldName().prefault('x-api-key').describe('The header that carries the key.'),
  hashes_file: fileName().describe('A file with a line `sha256:<64 hex digits> [name]` for each key.'),
  enrolment: enrolment().describe('controlled: a key costs its holder something. open: anyone can have one.'),
})

const clientCertificate = z.strictObject({
  header: fieldName().describe('The header in which a trusted proxy names the certificate.'),
  field: someText()
    .nullable()
    .prefault(null)
    .describe("The part of Envoy's X-Forwarded-Client-Cert to go by, such as Hash; left out, the whole value."),
  enrolment: enrolment().describe('controlled: a certificate costs something. open: anyone can have one.'),
})

const knownNetwork = z.strictObject({
  cidr: text({ what: 'an address or a network', write: 'one such as 203.0.113.7' }, /^/, readCidr).describe(
    'The networks that lie in it, each for itself.',
  ),
  max_devices: optional(whole(1, 1_000_000)).describe('How many live devices it may have.'),
  ipv6_parents: optional(parents()).describe('Instead of identity.network.ipv6_parents.'),
  note: optional(someText()).describe('For those who read the policy later.'),
})

/** Who a client is. */
export const identity = z
  .strictObject({
    secret: optional(z.union([secretText(), list(secretText())])).describe(
      'At least 32 bytes, the same on all instances. A list: the first signs, the last names buckets.',
    ),
    secret_file: optional(fileName()).describe('The file that holds the secret.'),
    trusted_proxies: z
      .union([trustedProxy(), z.array(trustedProxy())])
      .prefault([])
      .describe(
        'The proxies whose forwarding header is believed: networks, or loopback, linklocal, private, cloudflare, fastly.',
      ),
    client_address: text(
      { what: "a header's name", write: 'x-forwarded-for, forwarded, peer or a header' },
      TOKEN,
      readFieldName,
    )
      .prefault('x-forwarded-for')
      .describe(
        "Where a trusted proxy says the client's address: x-forwarded-for, forwarded, peer (nowhere) or a header.",
      ),
    network,
    device_cookie: deviceCookie,
    admission,
    jwt: z.array(jwt).prefault([]).describe('Issuers of tokens that are verified; any other token is only a claim.'),
    api_keys: apiKeys
      .nullable()
      .prefault(null)
      .describe('API keys that are known by their hashes; an unlisted key is only a claim.'),
    client_certificate: clientCertificate
      .nullable()
      .prefault(null)
      .describe('A client certificate that a trusted proxy has verified and names.'),
    networks: z
      .array(knownNetwork)
      .prefault([])
      .describe('Networks known to be large: offices, carriers. Of several the longest prefix holds.'),
  })
  .prefault({})
  .describe('Who a client is.')

function parents() {
  return z.array(z.strictObject({ prefix: whole(1, 127), factor: whole(1, 1_000_000) }))
}

function trustedProxy() {
  const wording = {
    what: 'a proxy',
    write: 'an address or a network such as 10.0.0.0/8, or loopback, linklocal, private, cloudflare or fastly',
  }
  return text(wording, /^/, (value) => {
    if (Object.hasOwn(NAMED_NETWORKS, value)) return { value: NAMED_NETWORKS[value]! }
    if (Object.hasOwn(CDN_NETWORKS, value)) return { value: CDN_NETWORKS[value]!.networks }
    if (!/[./:]/.test(value)) return { wrong: `${show(value)} is not ${wording.what}; write ${wording.write}` }
    const network = readCidr(value)
    return 'value' in network ? { value: [network.value] } : network
  })
}
