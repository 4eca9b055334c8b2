import type { Page, Slice } from './paging.ts'
import { slice } from './paging.ts'
import type { Journal } from './storage/journal.ts'

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
  /**
   * Puts `to` in the place of `from`, which has the same id, as one step: 'changed' and nothing done when the user is
   * not as `from` has it any more, 'taken' when another has the email.
   */
  replace(from: User, to: User): Promise<'replaced' | 'changed' | 'taken'>
  get(id: string): Promise<User | undefined>
  /** Newest first. */
  page(page: Page): Promise<Slice<User>>
}

export type MemoryUsersOptions = { readonly maxUsers: number; readonly journal?: Journal<User> | undefined }

/** Keeps at most `maxUsers` in memory, and in the journal if there is one. */
export function createMemoryUsers({ maxUsers, journal }: MemoryUsersOptions): Users {
  const byId = new Map<string, User>(journal?.entries)
  const emails = new Set([...byId.values()].map(({ email }) => email))
  return {
    async add(user) {
      // No await from here to the journal: that is what makes it one step.
      if (emails.has(user.email)) return 'taken'
      if (byId.size >= maxUsers) return 'full'
      emails.add(user.email)
      byId.set(user.id, user)
      await journal?.put(user.id, user)
      return 'added'
    },
    async replace(from, to) {
      const found = byId.get(from.id)
      if (JSON.stringify(found) !== JSON.stringify(from)) return 'changed'
      if (to.email !== from.email && emails.has(to.email)) return 'taken'
      emails.delete(from.email)
      emails.add(to.email)
      byId.set(to.id, to)
      await journal?.put(to.id, to)
      return 'replaced'
    },
    get: async (id) => byId.get(id),
    page: async (page) => slice([...byId.values()].reverse(), page),
  }
}
