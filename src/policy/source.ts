import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import type { ParseResult } from './parse.ts'
import { readPolicy, readText } from './read.ts'
import type { Env } from './substitute.ts'

/** A policy file and the files it names, as they were read last. */
export type PolicySource = {
  /** Reads them all. @throws SluiceError `policy_unreadable` where the policy file itself cannot be read. */
  read(): ParseResult
  /** Whether one of them says something else by now, is gone, or has come. */
  hasChanged(): boolean
  /** The names of the files that were read, or looked for. */
  files(): readonly string[]
}

/** Reads a policy again and again. What is no regular file (a pipe) is read once: it would say nothing more, or block. */
export function createPolicySource(file: string, env: Env): PolicySource {
  let seen = new Map<string, { readonly maxBytes: number; readonly digest: string }>()
  const once = isRegular(file) === false ? file : null
  let isFirst = true

  function read(): ParseResult {
    const reading: typeof seen = new Map()
    try {
      return readPolicy(file, env, (name, maxBytes) => {
        try {
          const text = isFirst ? readText(name, maxBytes) : readRegular(name, maxBytes)
          reading.set(name, { maxBytes, digest: digestOf(text) })
          return text
        } catch (cause) {
          reading.set(name, { maxBytes, digest: failureOf(cause) })
          throw cause
        }
      })
    } finally {
      seen = reading
      isFirst = false
    }
  }

  function hasChanged(): boolean {
    if (once !== null) return false
    for (const [name, { maxBytes, digest }] of seen) if (digest !== digestNow(name, maxBytes)) return true
    return false
  }

  return { read, hasChanged, files: () => [...seen.keys()] }
}

function digestNow(name: string, maxBytes: number): string {
  try {
    return digestOf(readRegular(name, maxBytes))
  } catch (cause) {
    return failureOf(cause)
  }
}

/** Opening a pipe that nobody writes to would stop the process. */
function readRegular(name: string, maxBytes: number): string {
  if (isRegular(name) === false) throw Object.assign(new Error('it is not a regular file'), { code: 'EINVAL' })
  return readText(name, maxBytes)
}

/** Undefined where that cannot be told: reading it then says why. */
function isRegular(name: string): boolean | undefined {
  try {
    return statSync(name).isFile()
  } catch {
    return undefined
  }
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}

function failureOf(cause: unknown): string {
  return (cause as NodeJS.ErrnoException).code ?? 'unknown'
}
