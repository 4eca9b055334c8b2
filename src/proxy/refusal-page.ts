import { createHash } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Problem } from '../http/problem.ts'

/** A refusal as a page for people: it needs nothing else, runs nothing, and says what a problem document does in plain words. */
export type RefusalPage = {
  readonly text: string
  /** Fields that go with it, names and values in turn. */
  readonly fields: readonly string[]
}

const STYLE = `
:root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, sans-serif }
body { margin: 0 auto; max-width: 36rem; padding: 15vh 1.5rem 2rem }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 1rem }
p { margin: 0 0 1rem }
footer { font-size: .875rem; margin-top: 2.5rem; overflow-wrap: anywhere }
`

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

const FIELDS = [
  'Content-Security-Policy',
  `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'X-Content-Type-Options',
  'nosniff',
]

/** What a person is told: a heading and a sentence. Of other statuses the problem's own words. */
const WORDS: Readonly<Record<number, readonly [heading: string, sentence: string]>> = {
  403: ['Access denied', 'This site does not let you see this page.'],
  429: ['Too many requests', 'You have sent more requests than this site allows in a short time.'],
  502: ['The site is not available', 'The server behind this address gave no proper response.'],
  503: ['The site is busy', 'The site cannot handle your request at the moment.'],
  504: ['The site is not available', 'The server behind this address took too long to respond.'],
}

/** Makes the page of a problem. `retryAfter`: seconds, null where it is not said when to come back. */
export function refusalPage(problem: Problem, requestId: string, retryAfter: number | null): RefusalPage {
  const { status, detail } = problem
  const [heading, sentence] = WORDS[status] ?? [STATUS_CODES[status] ?? 'Error', detail]
  const title = escaped(heading)
  const retry = retryAfter === null ? '' : `\n<p>Please try again in ${spanText(retryAfter)}.</p>`
  const text = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${title}</h1>
<p>${escaped(sentence)}</p>${retry}
</main>
<footer>Status ${status} · Request ${escaped(requestId)}</footer>
</body>
</html>
`
  return { text, fields: FIELDS }
}

/** A time to wait in words, never shorter than it is. */
function spanText(seconds: number): string {
  if (seconds <= 90) return counted(seconds, 'second')
  if (seconds <= 90 * 60) return counted(Math.ceil(seconds / 60), 'minute')
  return counted(Math.ceil(seconds / 3600), 'hour')
}

function counted(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}
