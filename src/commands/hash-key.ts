import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { readKeyHashes } from '../policy/key-hashes.ts'
import type { CommandIo, ExitCode } from './command.ts'
import { unknownOption } from './usage.ts'

export type HashKeyIo = CommandIo & {
  /** Standard input: chunks of bytes. */
  readonly input: AsyncIterable<Buffer | string>
}

const USAGE = `usage: printf %s "$KEY" | sluice hash-key [name]\n`

/** Longer than any header that could carry it. */
const MAX_KEY_BYTES = 64 * 1024

/**
 * `sluice hash-key [name]`: reads an API key from `input` and prints its line for `hashes_file`, so that the key itself
 * stands in no file, no list of processes and no shell history. One line break at its end is not a part of it.
 * Resolves with 0; 1 where it is no key that a header can carry, or the name none that can be logged; 2 for wrong usage.
 */
export async function hashKey(args: readonly string[], io: HashKeyIo): Promise<ExitCode> {
  const name = nameOf(args, io)
  if (name === null) {
    io.err(USAGE)
    return 2
  }
  const key = await read(io.input)
  if (!/^[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/.test(key)) {
    io.err('sluice: what came is not a key that a header can carry; write it on one line, without spaces around it\n')
    return 1
  }
  const digest = `sha256:${createHash('sha256').update(key, 'latin1').digest('hex')}`
  const line = name === undefined ? digest : `${digest} ${name}`
  const [problem] = readKeyHashes(line).problems
  if (problem !== undefined) {
    io.err(`sluice: the line ${problem.message}\n`)
    return 1
  }
  io.out(`${line}\n`)
  return 0
}

/** The name given, undefined where there is none; null for wrong usage. */
function nameOf(args: readonly string[], { err }: CommandIo): string | undefined | null {
  try {
    const { positionals } = parseArgs({ args: [...args], allowPositionals: true, options: {} })
    return positionals.length > 1 ? null : positionals[0]
  } catch (cause) {
    err(`sluice: ${unknownOption(cause, 'hash-key', {})}\n`)
    return null
  }
}

/** As latin1, as a header's bytes are read. */
async function read(input: AsyncIterable<Buffer | string>): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of input) {
    const piece = Buffer.from(chunk as Buffer)
    bytes += piece.length
    if (bytes > MAX_KEY_BYTES) return ''
    chunks.push(piece)
  }
  return Buffer.concat(chunks)
    .toString('latin1')
    .replace(/\r?\n$/, '')
}
