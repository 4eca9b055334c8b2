import * as z from 'zod'
import { nearest } from './nearest.ts'
import { type Path, pathText } from './path.ts'
import { policySchema } from './schema.ts'
import { either } from './show.ts'

/** What to say about a key that is not known where it stands: the one that was meant, or where it belongs. */
export function explainKey(key: string, path: Path, known: readonly string[]): string {
  const meant = nearest(key, known)
  if (meant !== undefined) return `is not a key that is known; write ${meant}`
  const places = placesOf().get(key)
  if (places !== undefined) {
    const below = places.filter((place) => place.startsWith(`${levelText(path)}.`))
    return `is not known at this level; write it in ${either((below.length > 0 ? below : places).slice(0, 4))}`
  }
  return `is not a key that is known; leave it out, or write one of ${known.join(', ')}`
}

let places: Map<string, string[]> | undefined

/** For each key of the format the maps that know it. */
function placesOf(): ReadonlyMap<string, readonly string[]> {
  if (places === undefined) {
    places = new Map()
    collect(policySchema, [], places)
  }
  return places
}

function collect(schema: z.ZodType, path: Path, places: Map<string, string[]>): void {
  if (schema instanceof z.ZodObject) {
    for (const [key, member] of Object.entries(schema.shape)) {
      const known = places.get(key)
      const place = levelText(path) || 'the top level'
      if (known === undefined) places.set(key, [place])
      else known.push(place)
      collect(member as z.ZodType, [...path, key], places)
    }
  } else if (schema instanceof z.ZodArray) collect(schema.element as z.ZodType, [...path, 0], places)
  else if (schema instanceof z.ZodPipe) collect(schema.in as z.ZodType, path, places)
  else if (schema instanceof z.ZodUnion) for (const option of schema.options) collect(option as z.ZodType, path, places)
  else if (schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    collect(schema.unwrap() as z.ZodType, path, places)
  }
}

/** A path with all members of a list taken as one: `limits[].match`. */
function levelText(path: Path): string {
  return pathText(path).replace(/\[\d+\]/g, '[]')
}
