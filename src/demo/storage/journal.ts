import { ClassicLevel } from 'classic-level'
import { SluiceError } from '../../errors.ts'
import { reasonOf } from '../with-timeout.ts'

/** Where a collection in memory also writes what it holds, so that it outlives the process. */
export type Journal<T> = {
  /** As they were when it was opened, the first added first. */
  readonly entries: readonly (readonly [id: string, value: T])[]
  put(id: string, value: T): Promise<void>
  remove(id: string): Promise<void>
}

/** The journals of one folder. */
export type Journals = {
  open<T>(name: string): Promise<Journal<T>>
  close(): Promise<void>
}

type Row = { readonly n: number; readonly value: unknown }

/**
 * Journals in a LevelDB database in `dir`, which is made when it is not there. What is written outlives the process, and
 * with the operating system's caches the machine. One process at a time: rejects with a SluiceError `usage` when
 * another has it, or when it cannot be opened.
 */
export async function openJournals(dir: string): Promise<Journals> {
  const db = new ClassicLevel<string, Row>(dir, { valueEncoding: 'json' })
  try {
    await db.open()
  } catch (cause) {
    throw new SluiceError('usage', `DEMO_DATA_DIR: '${dir}' cannot be opened: ${whyNot(cause)}`, { cause })
  }
  return {
    async open<T>(name: string): Promise<Journal<T>> {
      const part = db.sublevel<string, Row>(name, { valueEncoding: 'json' })
      const rows = await part.iterator().all()
      rows.sort(([, a], [, b]) => a.n - b.n)
      // A row keeps its place when it is put again.
      const places = new Map(rows.map(([id, { n }]) => [id, n]))
      let next = (rows.at(-1)?.[1].n ?? 0) + 1
      return {
        entries: rows.map(([id, { value }]) => [id, value as T]),
        async put(id, value) {
          const n = places.get(id) ?? next++
          places.set(id, n)
          await part.put(id, { n, value })
        },
        async remove(id) {
          places.delete(id)
          await part.del(id)
        },
      }
    },
    close: () => db.close(),
  }
}

function whyNot(error: unknown): string {
  const { cause } = error as { cause?: { code?: string } }
  if (cause?.code === 'LEVEL_LOCKED') return 'another process has it open; give each its own'
  return reasonOf(cause ?? error)
}
