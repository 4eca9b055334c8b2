/** The network a client comes from, under pseudonyms. */
export type Network = {
  /** 128-bit pseudonym, 22 characters of base64url. */
  readonly id: string
  /** The first characters of the id: keeps the keys of one network together. */
  readonly tag: string
  /** The client's own address, canonical. Raw: for matching only, never for logs, metrics or a store. */
  readonly address: string
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
