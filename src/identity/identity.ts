/** Names someone without naming them: 128 bits as 22 characters of base64url, and the first characters, which keep keys together. */
export type Pseudonym = { readonly id: string; readonly tag: string }

/** The network a client comes from, under pseudonyms. */
export type Network = {
  /** 128-bit pseudonym, 22 characters of base64url. */
  readonly id: string
  /** The first characters of a pseudonym: keeps the keys of one network and its parents together. */
  readonly tag: string
  /** The client's own address, canonical. Raw: for matching only, never for logs, metrics or a store. */
  readonly address: string
  /** The wider networks it lies in, nearest first, each with what it is allowed as a multiple of one network's; IPv6 only. */
  readonly parents: readonly { readonly id: string; readonly factor: number }[]
  /** How many devices may be members at a time; a parent's is this by its factor. */
  readonly maxDevices: number
}

/** How a client was told, the strongest that holds (identity.md section 2). */
export type Tier = 'principal' | 'member' | 'token' | 'class' | 'overflow'

/** How many live members a network has, and what they weigh in halves: a fresh one 1, an aged one 2. */
export type CrowdSize = { readonly members: number; readonly halfWeights: number }

/** A member that has just been admitted: its bucket is not filled for free. */
export type Debut = {
  /** The bucket of the class that it was in. */
  readonly classId: string
  /** The limits whose bucket it has paid for. */
  readonly paid: Set<string>
}

/** How a member has behaved in ten-minute windows; its grade (0 to 3) goes into its mark when that is signed anew. */
export type Conduct = { grade: number; window: number; requests: number; refused: number }

/**
 * Who a request comes from and what it spends with. A claim caps, it never grants: what is unproved only subdivides its
 * network's newcomers' pool, what is proved stands alone or with the network's members.
 */
export type Identity = {
  readonly tier: Tier
  /** Its pseudonym: its own where it has one, else its class's within the network. */
  readonly id: string
  readonly tag: string
  readonly network: Network
  /** Names a bucket of its own, world-wide; null where it has shown neither a proof nor a token. */
  readonly own: Pseudonym | null
  /** Whom it shares with: nobody, its network's members, or its network's newcomers. */
  readonly pool: 'none' | 'members' | 'newcomers'
  /** Names the bucket of its class, which is charged too where the pool is the newcomers'. */
  readonly classId: string
  /** Whether it may take what its pool keeps back: an aged member, or a class known for a while. */
  readonly isSettled: boolean
  /** The crowd of the network, then of each parent. */
  readonly crowds: readonly CrowdSize[]
  readonly debut: Debut | null
  readonly conduct: Conduct | null
}
