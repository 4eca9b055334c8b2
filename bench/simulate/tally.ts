/** The limiters whose answers are counted, ours first. */
export const LIMITERS = ['sluice', 'ip', 'ua + ip', 'headers + token + ip'] as const

/** Requests sent, and how many each limiter refused, in the order of LIMITERS. */
export type Counts = { sent: number; readonly refused: number[] }

export type Tally = {
  count(label: string, passed: readonly boolean[]): void
  get(label: string): Counts
  /** The label under this prefix of which the `limiter`-th refused the greatest share. */
  worst(prefix: string, limiter: number): { readonly name: string; readonly share: number }
}

export function createTally(): Tally {
  const all = new Map<string, Counts>()
  const none = (): Counts => ({ sent: 0, refused: LIMITERS.map(() => 0) })
  return {
    count(label, passed) {
      let counts = all.get(label)
      if (counts === undefined) {
        counts = none()
        all.set(label, counts)
      }
      counts.sent++
      for (let i = 0; i < passed.length; i++) if (!passed[i]) counts.refused[i]!++
    },
    get: (label) => all.get(label) ?? none(),
    worst(prefix, limiter) {
      let worst = { name: '', share: 0 }
      for (const [label, counts] of all) {
        const share = counts.refused[limiter]! / counts.sent
        if (label.startsWith(prefix) && (worst.name === '' || share > worst.share)) {
          worst = { name: label.slice(prefix.length), share }
        }
      }
      return worst
    },
  }
}
