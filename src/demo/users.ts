/** A user of the demo. `email` is as `normaliseEmail` gives it. */
export type User = {
  readonly id: string
  readonly email: string
  readonly name: string | null
  readonly created_at: string
}

/** Keeps the users; owned here, so that a database can stand behind it. */
export type Users = {
  /**
   * Adds the user unless another has the email or there is no room, as one step: of any number of racing calls with
   * one email exactly one is answered 'added'. A database does it by a unique index, never by looking first.
   */
  add(user: User): Promise<'added' | 'taken' | 'full'>
  get(id: string): Promise<User | undefined>
  /** Newest first. */
  all(): Promise<readonly User[]>
}

/** Keeps at most `maxUsers` in memory. */
export function createMemoryUsers({ maxUsers }: { readonly maxUsers: number }): Users {
  const byId = new Map<string, User>()
  const emails = new Set<string>()
  return {
    async add(user) {
      // No await from here to the end: that is what makes it one step.
      if (emails.has(user.email)) return 'taken'
      if (byId.size >= maxUsers) return 'full'
      emails.add(user.email)
      byId.set(user.id, user)
      return 'added'
    },
    get: async (id) => byId.get(id),
    all: async () => [...byId.values()].reverse(),
  }
}
