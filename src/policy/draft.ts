import type { Path } from './path.ts'
import type { PolicyFile } from './schema.ts'
import type { Rate } from './types.ts'

/** What could be read of something: a part that is wrong is undefined, one that is left out null or its default. */
export type DraftOf<T> = T extends string | number | boolean | null | undefined | Rate
  ? T | undefined
  : T extends readonly (infer Member)[]
    ? (DraftOf<Member> | undefined)[] | undefined
    : T extends object
      ? { readonly [Key in keyof T]: DraftOf<T[Key]> } | undefined
      : T

/** What could be read of a policy file. */
export type Draft = NonNullable<DraftOf<PolicyFile>>

/** One limit as far as it could be read. */
export type LimitDraft = NonNullable<NonNullable<Draft['limits']>[number]>

/** Takes note of something wrong at a path. */
export type Report = (path: Path, message: string) => unknown

/** Whether the file or the environment gives a value at a path. */
export type IsGiven = (path: Path) => boolean
