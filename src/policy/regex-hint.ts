/** What stands in regular expressions, and hardly in paths. */
const SIGNS = ['\\.', '\\/', '\\d', '\\w', '\\s', '[^', ']+', ']*', '(?', '|', '.+']

/** Whether a path pattern is written as a regular expression, as other proxies take them. */
export function isRegex(text: string): boolean {
  return /^[~^]/.test(text) || text.endsWith('$') || SIGNS.some((sign) => text.includes(sign))
}

/** The path pattern that a simple regular expression means; undefined where it cannot be told. */
export function globOf(text: string): string | undefined {
  const isAnchored = text.startsWith('^')
  const body = text.replace(/^~\*? ?/, '').replace(/^\^/, '')
  const glob = body
    .replace(/\$$/, '')
    .replace(/\(\/\.[*+]\)\??$|\/\.[*+]$/, '/**')
    .replace(/\/\.[*+]\//g, '/**/')
    .replace(/(?:\[[^\][]*\]|\\[dw]|\.)[+*]/g, '*')
    .replace(/\\([./-])/g, '$1')
    .replaceAll('(?:', '(')
    .replace(/[()|]/g, (sign) => ({ '(': '{', ')': '}', '|': ',' })[sign]!)
  const rooted = glob.startsWith('/') || glob.startsWith('{/') ? glob : `/**/*${glob.replace(/^\*/, '')}`
  const isOpen = isAnchored && !body.endsWith('$') && !rooted.endsWith('*')
  const whole = isOpen ? `${rooted.replace(/\/$/, '')}/**` : rooted
  return isRegex(whole) ? undefined : whole
}
