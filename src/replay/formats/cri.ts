const DASH = 0x2d
const T = 0x54

/**
 * Where the line of a container begins behind what Kubernetes' runtimes write before it (the CRI log format):
 * `2025-12-31T17:37:40.493035218+01:00 stdout F `. 0 for a line without it; -1 for a part of a line, which is marked `P`.
 */
export function startBehindCri(line: string): number {
  if (line.charCodeAt(4) !== DASH || line.charCodeAt(10) !== T) return 0
  const space = line.indexOf(' ')
  if (space === -1) return 0
  if (!line.startsWith('stdout ', space + 1) && !line.startsWith('stderr ', space + 1)) return 0
  const tag = space + 8
  if (line.startsWith('F ', tag)) return tag + 2
  return line.startsWith('P ', tag) ? -1 : 0
}
