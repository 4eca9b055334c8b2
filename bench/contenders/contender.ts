import type { Server } from '../load/process.ts'

/** What stands around the contenders of a run. */
export type Surroundings = {
  readonly upstreamPort: number
  readonly redis: { readonly port: number; readonly pid: number } | null
  /** A folder of this run, for configurations. */
  readonly folder: string
}

/** Requests that a client may make, `tokens` every second or, where it is to be seen refusing, `tokens` and no more for minutes. */
export type Allowance = { readonly tokens: number; readonly isRefusing: boolean }

/** A proxy, or what stands for the best that one can be, as it takes part in a run. */
export type Contender = {
  readonly name: string
  readonly title: string
  readonly needs: { readonly redis?: true; readonly peers?: true }
  /** Whether it limits, what it answers who is refused, and by which field an answer shows what is left. */
  readonly limits: { readonly refusal: number; readonly field: string | null } | null
  /** Who asks: 1,000 known devices, ten of them, 1,000 that keep no cookie, or a million addresses. */
  readonly clients: Clients
  /** What most answers are while it is measured: 200 if nothing is said. */
  readonly status?: number
  start(around: Surroundings, allowance: Allowance): Promise<Server>
}

export type Clients = 'known' | 'hot' | 'cookieless' | 'million'

/** Nobody is refused while speed is measured. */
export const AMPLE: Allowance = { tokens: 50_000, isRefusing: false }
/** Whoever asks a third time is refused. */
export const TWO: Allowance = { tokens: 2, isRefusing: true }
