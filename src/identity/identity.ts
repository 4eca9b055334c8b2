/** The network a client comes from, under pseudonyms. */
export type Network = {
  /** 128-bit pseudonym, 22 characters of base64url. */
  readonly id: string
  /** The first characters of the id: keeps the keys of one network together. */
  readonly tag: string
  /** The client's own address, canonical. Raw: for matching only, never for logs, metrics or a store. */
  readonly address: string
  /** The wider networks it lies in, nearest first, each with what it is allowed as a multiple of one network's; IPv6 only. */
  readonly parents: readonly { readonly id: string; readonly factor: number }[]
  /** How many devices may be members at a time; a parent's is this by its factor. */
  readonly maxDevices: number
}

/**
 * Who a request comes from. A claim caps, it never grants: what is unproved only subdivides its network's shared
 * allowance (tiers class and overflow), what is proved stands alone (principal).
 */
export type Identity = {
  readonly tier: 'principal' | 'class' | 'overflow'
  /** 128-bit pseudonym of the device: world-wide for a principal, within its network for the others. */
  readonly id: string
  readonly tag: string
  readonly network: Network
}
