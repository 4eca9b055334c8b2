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

/** The values of all cookies of a name, in their order. */
export function cookiesOf(field: string, name: string): readonly string[] {
  const values: string[] = []
  for (let at = field.indexOf(name); at !== -1; at = field.indexOf(name, at + 1)) {
    if (isPairStart(field, at) && field[at + name.length] === '=') values.push(valueAt(field, at + name.length))
  }
  return values
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
  const semicolon = field.indexOf(';', equalsSign)
  return field.slice(equalsSign + 1, semicolon === -1 ? undefined : semicolon).trim()
}
