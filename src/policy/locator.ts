import { originOf } from './environment.ts'
import type { Loaded } from './load.ts'
import { type Path, pathText } from './path.ts'
import type { Problem } from './problem.ts'
import type { createRedactor } from './redact.ts'
import type { Issue } from './validate.ts'

export type LocatorOptions = {
  readonly file: string | null
  readonly loaded: Loaded
  /** The environment's variable behind each path that one has set. */
  readonly origins: ReadonlyMap<string, string>
  readonly redactor: ReturnType<typeof createRedactor>
}

/** Creates what turns paths and offsets into problems with file, line and column, or with a variable's name. */
export function createLocator({ file, loaded, origins, redactor }: LocatorOptions) {
  /** A problem at an offset of the text. */
  function problemAt(offset: number, path: Path, message: string): Problem {
    const shown = { path: redactor.redact(pathText(path)), message: redactor.redact(message) }
    if (file === null) return { file, line: null, column: null, ...shown, sourceLine: null }
    const { line, column } = position(offset)
    return { file, line, column, ...shown, sourceLine: redactor.sourceLine(line, offset - column + 1) }
  }

  /** A problem with what a path names, be it in the file, missing there, or set by the environment. */
  function problemFor(path: Path, message: string, at: Issue['at'] = 'value'): Problem {
    const origin = originOf(origins, path)
    if (origin === undefined) return problemAt(startOf(path, at), path, message)
    return { file: null, line: null, column: null, path: origin, message: redactor.redact(message), sourceLine: null }
  }

  /** Whether what a path names can be taken for what was meant: it stands clear of all YAML that is not valid. */
  function isClear(path: Path, at: Issue['at']): boolean {
    if (originOf(origins, path) !== undefined) return true
    const isSound = loaded.soundUntil === Number.POSITIVE_INFINITY
    const own = loaded.places.get(pathText(path))
    if (at === 'missing' || own === undefined) return isSound
    const { line } = position(startOf(path, at))
    const isEmpty = own.start === own.end
    if (loaded.badLines.has(line) || (isEmpty && loaded.badLines.has(line + 1))) return false
    return (at === 'key' ? startOf(path, at) : own.end) < loaded.soundUntil
  }

  /** The offset of a value or its key, or of the nearest thing around it that is there. */
  function startOf(path: Path, at: Issue['at']): number {
    const own = loaded.places.get(pathText(path))
    if (own !== undefined) return at === 'key' ? (own.key ?? own.start) : own.start
    for (let length = path.length - 1; length >= 0; length--) {
      const around = loaded.places.get(pathText(path.slice(0, length)))
      if (around !== undefined) return around.key ?? around.start
    }
    return 0
  }

  function position(offset: number): { line: number; column: number } {
    const { line, col } = loaded.lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }

  return { problemAt, problemFor, isClear }
}
