import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { SluiceError } from '../errors.ts'
import { MAX_POLICY_BYTES } from './load.ts'
import { type ParseResult, parsePolicy } from './parse.ts'
import type { Env } from './substitute.ts'

/** The largest file that a policy may name, in bytes. */
const MAX_FILE_BYTES = 16 * 1024 * 1024

/** Gives a file's text (UTF-8); throws what `fs.readFileSync` throws, and `EFBIG` where it has more than `maxBytes`. */
export type ReadText = (file: string, maxBytes: number) => string

/**
 * Reads and parses a policy file, and the files it names, relative to its folder.
 * @throws SluiceError `policy_unreadable` where the file itself cannot be read.
 */
export function readPolicy(file: string, env: Env, read: ReadText = readText): ParseResult {
  let text: string
  try {
    text = read(file, MAX_POLICY_BYTES)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SluiceError('policy_unreadable', `${file}: cannot be read (${reason}); write the name of a policy file`, {
      cause,
    })
  }
  return parsePolicy({ text, file, env, readFile: (name) => read(name, MAX_FILE_BYTES) })
}

export function readText(file: string, maxBytes: number): string {
  const handle = openSync(file, 'r')
  try {
    if (fstatSync(handle).size > maxBytes)
      throw Object.assign(new Error(`it is larger than ${maxBytes} bytes`), { code: 'EFBIG' })
    return readFileSync(handle, 'utf8')
  } finally {
    closeSync(handle)
  }
}
