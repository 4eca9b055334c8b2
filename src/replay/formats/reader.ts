import type { Format, Line, Unreadable } from '../line.ts'
import type { JsonObject } from './json-fields.ts'

/** Reads the lines of one text format. */
export type TextReader = {
  readonly format: Format
  /** Never throws: a client writes parts of the line. */
  read(line: string): Line
}

/** Reads the lines of one JSON format. */
export type JsonReader = {
  readonly format: Format
  /** The keys by which a line is known to be of this format, and which every request has. */
  readonly keys: readonly string[]
  /** Whether an object is a line of this format. */
  recognises(object: JsonObject): boolean
  /** Reads an object that it recognises. Never throws. */
  read(object: JsonObject): Line
}

/** What a text reader gives for a line of which it found the first `found` parts (between 0 and 1), up to a character. */
export function stoppedAt(format: Format, found: number, character: number, reason: string): Unreadable {
  return { kind: 'unreadable', format, found, reason: `at character ${character + 1}: ${reason}` }
}

/** What a JSON reader gives for an object that it recognises and that lacks something. */
export function lacks(format: Format, reason: string): Unreadable {
  return { kind: 'unreadable', format, found: 1, reason }
}

export function noRequest(reason: string): Line {
  return { kind: 'noRequest', reason }
}
