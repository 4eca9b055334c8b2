import { type FSWatcher, realpathSync, type WatchListener, watch } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'

export type WatchOptions = {
  /** The files to watch, asked again after each look. */
  readonly files: () => readonly string[]
  /** Called when something may have happened to one of them; what really did is the caller's to find out. */
  readonly look: () => void
  /** Told once, when a folder cannot be watched and is looked at every `poll` instead. */
  readonly onDeaf: (folder: string, cause: unknown) => void
  /** How long it must be quiet before a look: who writes a file in place does so in steps. */
  readonly quiet?: number
  /** A look is put off this long at most. */
  readonly patience?: number
  /** Between looks while a folder cannot be watched, and between those that nothing asked for. */
  readonly poll?: number
  readonly idlePoll?: number
  /** `fs.watch`. */
  readonly open?: (folder: string, listener: WatchListener<string>) => FSWatcher
}

export type Watch = { close(): void }

/**
 * Watches files by their folders. A watch on a file goes deaf when another takes its name: editors replace files, and
 * Kubernetes swaps the link `..data` beside them, to a new folder. Where links lead is watched too. Every now and then it
 * looks unasked: network file systems tell nothing, nor does a folder that another has replaced.
 */
export function watchFiles(options: WatchOptions): Watch {
  const { files, look, quiet = 100, patience = 1000, poll = 2000, idlePoll = 15_000 } = options
  const { open = (folder, listener) => watch(folder, { persistent: false }, listener) } = options
  const watchers = new Map<string, FSWatcher>()
  let isDeaf = false
  let isToldDeaf = false
  let firstEvent: number | null = null
  let settling: NodeJS.Timeout | undefined
  let polling: NodeJS.Timeout | undefined

  function heard(): void {
    const now = performance.now()
    firstEvent ??= now
    clearTimeout(settling)
    settling = setTimeout(lookNow, Math.min(quiet, Math.max(0, firstEvent + patience - now)))
  }

  function lookNow(): void {
    clearTimeout(settling)
    firstEvent = null
    look()
    follow()
  }

  /** Watches the folders that matter now, and looks again if one is new: something may have happened there before. */
  function follow(): void {
    const folders = foldersOf(files())
    for (const [folder, watcher] of watchers) if (!folders.has(folder)) drop(folder, watcher)
    const watched = watchers.size
    isDeaf = false
    for (const folder of folders) if (!watchers.has(folder)) add(folder)
    if (watchers.size > watched) heard()
    clearTimeout(polling)
    polling = setTimeout(lookNow, isDeaf ? poll : idlePoll)
    polling.unref()
  }

  function add(folder: string): void {
    try {
      const watcher = open(folder, (_, name) => {
        // Of itself it tells when it is moved or removed, and from then on nothing: whatever has its name now is to be watched.
        if (name === basename(folder)) drop(folder, watcher)
        heard()
      })
      watchers.set(folder, watcher)
      watcher.on('error', (cause) => {
        drop(folder, watcher)
        deaf(folder, cause)
      })
    } catch (cause) {
      deaf(folder, cause)
    }
  }

  function deaf(folder: string, cause: unknown): void {
    isDeaf = true
    if (!isToldDeaf) options.onDeaf(folder, cause)
    isToldDeaf = true
  }

  function drop(folder: string, watcher: FSWatcher): void {
    if (watchers.get(folder) === watcher) watchers.delete(folder)
    watcher.close()
  }

  follow()
  return {
    close() {
      clearTimeout(settling)
      clearTimeout(polling)
      for (const [folder, watcher] of watchers) drop(folder, watcher)
    },
  }
}

/** The folders that files are named in, and those that they are in when all links are followed. */
function foldersOf(files: readonly string[]): ReadonlySet<string> {
  const folders = new Set<string>()
  for (const file of files) {
    folders.add(resolve(dirname(file)))
    try {
      folders.add(dirname(realpathSync(file)))
    } catch {
      // It is gone, or cannot be reached: the folder of its name will tell when it comes back.
    }
  }
  return folders
}
