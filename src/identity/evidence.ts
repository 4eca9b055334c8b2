import type { Enrolment } from '../policy/types.ts'
import type { Network, Pseudonym } from './identity.ts'

export type { Pseudonym } from './identity.ts'

/** Who a client is proved to be: by a verified JWT, a listed API key, or the certificate a trusted peer names. */
export type Principal = Pseudonym & {
  readonly source: 'jwt' | 'api_key' | 'client_certificate'
  /** `controlled`: an account costs something, and stands alone; `open`: anyone can mint one, and it counts as a device. */
  readonly enrolment: Enrolment
}

/** A device that bears a mark which we signed: the device cookie, or the Device-Token field. */
export type SignedDevice = Pseudonym & {
  readonly via: 'cookie' | 'header'
  /** Milliseconds since the epoch, to the minute: when the mark was first given. Kept when it is signed anew. */
  readonly issuedMs: number
  /** 0 to 3: how many active ten-minute windows without many refusals it has behind it; what it says holds at its home only. */
  readonly grade: number
  /** Whether the request comes from the network on which the mark was given. */
  readonly isHome: boolean
}

/**
 * What a request shows of who sent it, before anybody is counted: the same values give the same evidence, and nothing here
 * depends on what came before. Who is admitted is membership's to say.
 */
export type Evidence = {
  readonly network: Network
  readonly principal: Principal | null
  readonly device: SignedDevice | null
  /** What an unverified bearer token or an unlisted API key claims; world-wide, by its whole value. */
  readonly token: Pseudonym | null
  /** The class of devices within the network: User-Agent, language tags and the unverified token. */
  readonly classId: string
  /** Whether the request has no header that could name a class. */
  readonly isNameless: boolean
}
