import type { Format } from '../line.ts'
import { caddy } from './caddy.ts'
import { combined } from './combined.ts'
import { envoy } from './envoy.ts'
import { envoyJson } from './envoy-json.ts'
import type { JsonReader, TextReader } from './reader.ts'
import { sluice } from './sluice.ts'
import { traefik } from './traefik.ts'

/** The readers of text, in the order in which they try a line. */
export const TEXT_READERS: readonly TextReader[] = [combined, envoy]

/** The readers of JSON; no line is of two of them. */
export const JSON_READERS: readonly JsonReader[] = [sluice, caddy, traefik, envoyJson]

/** The readers of one format, or all of them. */
export function readersOf(format: Format | null) {
  const isWanted = (reader: { readonly format: Format }) => format === null || reader.format === format
  return { text: TEXT_READERS.filter(isWanted), json: JSON_READERS.filter(isWanted) }
}
