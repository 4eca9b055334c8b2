/** A bounded number of bytes that all requests may hold in memory together. */
export type ByteBudget = {
  /** Takes so many; false, and nothing is taken, where that is more than are left. */
  take(bytes: number): boolean
  giveBack(bytes: number): void
}

export function createByteBudget(total: number): ByteBudget {
  let left = total
  return {
    take(bytes) {
      if (bytes > left) return false
      left -= bytes
      return true
    },
    giveBack(bytes) {
      left += bytes
    },
  }
}
