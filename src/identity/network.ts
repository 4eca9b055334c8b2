import { LRUCache } from 'lru-cache'
import type { IdentityPolicy, KnownNetwork, NetworkParent } from '../policy/types.ts'
import { type Address, networkOf } from './address.ts'
import type { Network } from './identity.ts'
import type { Keyring } from './keyring.ts'
import { tagOf } from './pseudonym.ts'

/**
 * Compiles which network an address lies in, with the wider ones around it. All of one outermost network bear its tag, so
 * that what they are charged together can lie together.
 */
export function compileNetwork(policy: IdentityPolicy, keyring: Keyring): (address: Address) => Network {
  const known = new LRUCache<string, Network>({ max: 20_000 })
  const settingsOf = compileKnown(policy.networks)

  function make(address: Address): Network {
    const settings = settingsOf(address)
    const parents: readonly NetworkParent[] =
      address.family === 'ipv4' ? [] : (settings?.ipv6Parents ?? policy.network.ipv6Parents)
    const idAt = (prefix: number) => keyring.pseudonym('network', [networkOf(address, { ipv4: prefix, ipv6: prefix })])
    const id = idAt(policy.network[address.family])
    const named = parents.map(({ prefix, factor }) => ({ id: idAt(prefix), factor }))
    return {
      id,
      tag: tagOf(named.at(-1)?.id ?? id),
      address: address.text,
      parents: named,
      maxDevices: settings?.maxDevices ?? policy.admission.maxDevices,
    }
  }

  return (address) => {
    let network = known.get(address.text)
    if (network === undefined) {
      network = make(address)
      known.set(address.text, network)
    }
    return network
  }
}

/** The entry with the longest prefix that an address lies in. As many steps as there are prefixes, not entries. */
function compileKnown(networks: readonly KnownNetwork[]): (address: Address) => KnownNetwork | undefined {
  const byCidr = new Map(networks.map((network) => [network.cidr, network]))
  const prefixes = { ipv4: prefixesOf(networks, false), ipv6: prefixesOf(networks, true) }
  return (address) => {
    for (const prefix of prefixes[address.family]) {
      const network = byCidr.get(networkOf(address, { ipv4: prefix, ipv6: prefix }))
      if (network !== undefined) return network
    }
    return undefined
  }
}

function prefixesOf(networks: readonly KnownNetwork[], isIpv6: boolean): readonly number[] {
  const own = networks.filter(({ cidr }) => cidr.includes(':') === isIpv6)
  return [...new Set(own.map(({ cidr }) => Number(cidr.split('/')[1])))].sort((a, b) => b - a)
}
