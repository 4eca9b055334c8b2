/**
 * The value of the first cookie of a name in a Cookie field (RFC 6265 section 4.2.1), as it stands; null where there is
 * none. Of several the first counts, as in most frameworks: a browser sends the most specific one first.
 */
export function cookieOf(field: string, name: string): string | null {
  for (let at = field.indexOf(name); at !== -1; at = field.indexOf(name, at + 1)) {
    const end = at + name.length
    if (field[end] !== '=' || !isPairStart(field, at)) continue
    return valueAt(field, end)
  }
  return null
}

/**
 * What any usual parser may take for the value of a cookie: one value where all agree, at most two where they do not. Parsers differ in whether a name ends before
 * white space and keeps its case, in whether quotes belong to a value, what within them or behind a space or a comma is a cookie of
 * its own, and in whether values are decoded. Read so that a value spelled in several ways is one.
 */
export function cookieReadings(field: string, name: string): readonly string[] {
  const wanted = name.toLowerCase()
  const text = foldedAs(wanted, field.toLowerCase())
  const readings: string[] = []
  for (let at = text.indexOf(wanted); at !== -1 && readings.length < 2; at = text.indexOf(wanted, at + 1)) {
    if (!isPossibleStart(field, at)) continue
    const end = skipSpace(field, at + name.length)
    if (field[end] === '=') addValue(readings, field.slice(end + 1, endOf(field, ';', end)))
    // A name alone: a cookie with an empty value to some, and none to others.
    else if ((end === field.length || field[end] === ';') && isPairStart(field, at)) addReading(readings, '')
  }
  return readings
}

/** PHP takes `my.sid` and `my sid` for `my_sid`. */
function foldedAs(name: string, field: string): string {
  return name.includes('_') ? field.replace(/[. \t[]/g, '_') : field
}

function isPossibleStart(field: string, at: number): boolean {
  // Some take what stands behind a leading equals sign for the name.
  if (field[at - 1] === '=') return isPairStart(field, at - 1)
  return at === 0 || ' \t;,"'.includes(field[at - 1]!)
}

function addValue(readings: string[], written: string): void {
  const value = unquoted(written.trim())
  addReading(readings, decoded(value))
  // What RFC 6265 section 4.1.1 allows in no value ends it for some.
  const end = value.search(/[\s",\\]/)
  if (end !== -1) addReading(readings, decoded(value.slice(0, end)))
}

function addReading(readings: string[], value: string): void {
  if (readings.length < 2 && value !== readings[0]) readings.push(value)
}

function unquoted(value: string): string {
  return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
}

/** As frameworks decode values: escapes, and a plus for a space. */
function decoded(value: string): string {
  if (!value.includes('%') && !value.includes('+')) return value
  const spaced = value.replaceAll('+', ' ')
  return spaced.replace(/%[0-9a-f]{2}/gi, (octet) => String.fromCharCode(Number.parseInt(octet.slice(1), 16)))
}

function skipSpace(field: string, from: number): number {
  let at = from
  while (field[at] === ' ' || field[at] === '\t') at++
  return at
}

function endOf(field: string, separator: string, from: number): number {
  const at = field.indexOf(separator, from)
  return at === -1 ? field.length : at
}

/** A Cookie field without the cookies of some names, the rest to the byte; empty where nothing else is in it. */
export function withoutCookies(field: string, names: ReadonlySet<string>): string {
  if (!field.includes(';')) return names.has(nameOf(field)) ? '' : field
  const pairs = field.split(';')
  const kept = pairs.filter((pair) => !names.has(nameOf(pair)))
  if (kept.length === pairs.length) return field
  const rest = kept.join(';')
  return kept[0] === pairs[0] ? rest : rest.trimStart()
}

function nameOf(pair: string): string {
  const end = pair.indexOf('=')
  return (end === -1 ? pair : pair.slice(0, end)).trim()
}

function isPairStart(field: string, at: number): boolean {
  let before = at - 1
  while (before >= 0 && (field[before] === ' ' || field[before] === '\t')) before--
  return before < 0 || field[before] === ';'
}

function valueAt(field: string, equalsSign: number): string {
  return field.slice(equalsSign + 1, endOf(field, ';', equalsSign)).trim()
}
