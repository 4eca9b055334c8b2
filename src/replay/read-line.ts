import { startBehindCri } from './formats/cri.ts'
import { readersOf } from './formats/index.ts'
import type { JsonObject } from './formats/json-fields.ts'
import type { Format, Line, Unreadable } from './line.ts'

const BRACE = 0x7b
/** Times beyond have no text. */
const YEAR_10000_US = 253_402_300_800_000_000

const NOT_JSON: Unreadable = { kind: 'unreadable', format: null, found: 0, reason: 'is no JSON object' }
const CUT: Unreadable = {
  kind: 'unreadable',
  format: null,
  found: 0,
  reason: 'is a part of a line that was cut (CRI P)',
}
const NO_READER: Unreadable = { kind: 'unreadable', format: null, found: 0, reason: 'is JSON, and the format is text' }
const NO_TIME: Unreadable = {
  kind: 'unreadable',
  format: null,
  found: 1,
  reason: 'its time is before 1970 or after 9999',
}

/**
 * Creates the reader of an access log's lines (latin1), of the format told, else of the one that each line is seen to have. It never
 * throws: a client writes parts of a line. A line that cannot be read says which format came nearest, and where its reader stopped.
 */
export function createLineReader(format: Format | null): (line: string) => Line {
  const { text, json } = readersOf(format)

  function readText(line: string): Line {
    let nearest: Unreadable | null = null
    for (const reader of text) {
      const read = reader.read(line)
      if (read.kind !== 'unreadable') return read
      if (nearest === null || read.found > nearest.found) nearest = read
    }
    return nearest ?? NOT_JSON
  }

  function readJson(line: string): Line {
    const object = parse(line)
    if (object === null) return NOT_JSON
    for (const reader of json) if (reader.recognises(object)) return reader.read(object)
    return nearestOf(object)
  }

  /** Which reader's keys an unknown object has most of. */
  function nearestOf(object: JsonObject): Unreadable {
    let nearest: Unreadable = NO_READER
    for (const { format: name, keys } of json) {
      const missing = keys.filter((key) => !(key in object))
      const found = 1 - missing.length / keys.length
      if (nearest !== NO_READER && found <= nearest.found) continue
      const without = missing.length === 0 ? 'with a value of another type' : `without ${missing.join(', ')}`
      nearest = {
        kind: 'unreadable',
        format: found > 0 ? name : null,
        found,
        reason: found > 0 ? `is JSON ${without}` : 'is JSON of a kind that is not known',
      }
    }
    return nearest
  }

  return (whole) => {
    const start = startBehindCri(whole)
    if (start === -1) return CUT
    const line = start === 0 ? whole : whole.slice(start)
    const isJson = text.length === 0 || line.charCodeAt(0) === BRACE
    const read = isJson ? readJson(line) : readText(line)
    if (read.kind !== 'request' && read.kind !== 'own') return read
    return read.timeUs >= 0 && read.timeUs < YEAR_10000_US ? read : { ...NO_TIME, format: read.format }
  }
}

function parse(line: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(isAscii(line) ? line : Buffer.from(line, 'latin1').toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null
  } catch {
    return null
  }
}

function isAscii(line: string): boolean {
  return !/[\x80-\xff]/.test(line)
}
