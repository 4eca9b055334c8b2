import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import type { AdminRoute } from './route.ts'

/** What the page may do: load what lies beside it, and ask this server. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Beside the page's own files, uPlot's, which a package brings. */
const FILES: readonly (readonly [path: string, file: URL, type: string])[] = [
  ['/', new URL('page/index.html', import.meta.url), 'text/html'],
  ['/page.css', new URL('page/page.css', import.meta.url), 'text/css'],
  ['/page.js', new URL('page/page.js', import.meta.url), 'text/javascript'],
  ['/key.js', new URL('page/key.js', import.meta.url), 'text/javascript'],
  ['/ask.js', new URL('page/ask.js', import.meta.url), 'text/javascript'],
  ['/chart.js', new URL('page/chart.js', import.meta.url), 'text/javascript'],
  ['/uplot.js', uplotFile('uPlot.esm.js'), 'text/javascript'],
  ['/uplot.css', uplotFile('uPlot.min.css'), 'text/css'],
]

/** The page and what it loads, read once. */
export function createPageRoutes(): readonly AdminRoute[] {
  const files = FILES.map(([path, file, type]): AdminRoute => {
    const body = readFileSync(file)
    const fields = ['Content-Security-Policy', POLICY]
    return {
      method: 'GET',
      path,
      access: 'read',
      answer: () => ({ status: 200, type: `${type}; charset=utf-8`, body, fields }),
    }
  })
  // A browser asks for it by itself.
  const icon: AdminRoute = {
    method: 'GET',
    path: '/favicon.ico',
    access: 'read',
    answer: () => ({ status: 204, type: 'image/x-icon', body: '' }),
  }
  return [...files, icon]
}

function uplotFile(name: string): URL {
  return new URL(name, pathToFileURL(createRequire(import.meta.url).resolve('uplot')))
}
