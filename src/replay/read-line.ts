import { isCaddy, readCaddy } from './formats/caddy.ts'
import { readCombined } from './formats/combined.ts'
import { readEnvoy } from './formats/envoy.ts'
import type { JsonObject } from './formats/json-fields.ts'
import { isSluice, readSluice } from './formats/sluice.ts'
import { isTraefik, readTraefik } from './formats/traefik.ts'
import { type Format, type Line, UNREADABLE } from './line.ts'

const BRACE = 0x7b
const BRACKET = 0x5b
/** Times beyond have no text. */
const YEAR_10000_US = 253_402_300_800_000_000

/**
 * Reads one line (latin1) of an access log, of the format told, else of the one that it is seen to have. It never throws:
 * whoever writes requests writes parts of this line.
 */
export function readLine(line: string, format: Format | null): Line {
  const read = readAs(line, format)
  if (read.kind !== 'request' && read.kind !== 'own') return read
  return read.timeUs >= 0 && read.timeUs < YEAR_10000_US ? read : UNREADABLE
}

function readAs(line: string, format: Format | null): Line {
  const first = line.charCodeAt(0)
  if (format === null ? first === BRACE : format !== 'combined' && format !== 'envoy') return readJson(line, format)
  return (format ?? (first === BRACKET ? 'envoy' : 'combined')) === 'envoy' ? readEnvoy(line) : readCombined(line)
}

function readJson(line: string, format: Format | null): Line {
  const object = parse(line)
  if (object === null) return UNREADABLE
  if (isSluice(object)) return is('sluice', format) ? readSluice(object) : UNREADABLE
  if (isCaddy(object)) return is('caddy', format) ? readCaddy(object) : UNREADABLE
  if (isTraefik(object)) return is('traefik', format) ? readTraefik(object) : UNREADABLE
  return UNREADABLE
}

function is(seen: Format, told: Format | null): boolean {
  return told === null || told === seen
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
