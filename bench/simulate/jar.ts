/** The cookies of one browser profile, for one site. */
export type Jar = {
  /** The Cookie field's value; empty without cookies. */
  field(): string
  /** Keeps, replaces or drops what a Set-Cookie field says (RFC 6265 section 5.3; one host, one path). */
  take(setCookie: string): void
}

export function createJar(): Jar {
  const cookies = new Map<string, string>()
  let field = ''
  return {
    field: () => field,
    take(setCookie) {
      const [pair = '', ...attributes] = setCookie.split(';')
      const equals = pair.indexOf('=')
      if (equals < 1) return
      const name = pair.slice(0, equals).trim()
      if (attributes.some((attribute) => /^\s*max-age=(0|-\d+)\s*$/i.test(attribute))) cookies.delete(name)
      else cookies.set(name, pair.slice(equals + 1).trim())
      field = [...cookies].map(([key, value]) => `${key}=${value}`).join('; ')
    },
  }
}
