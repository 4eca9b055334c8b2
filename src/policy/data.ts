import type { Path } from './path.ts'

/** A map as `load` gives it: without prototype, so that no key is special. */
export type DataMap = Record<string, unknown>

/** Whether a value is a map, not a list. */
export function isMap(value: unknown): value is DataMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether a path has a value that is neither null nor empty. */
export function isGivenIn(root: DataMap, path: Path): boolean {
  let value: unknown = root
  for (const step of path) value = isMap(value) ? value[step] : undefined
  return value !== undefined && value !== null && value !== ''
}
