import t from 'tap'
import { prefersHtml } from '../../src/http/accept.ts'

/** What browsers send when they load a page. */
const BROWSERS = [
  'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7',
  'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/png,image/svg+xml,*/*;q=0.8',
  'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
]

t.test('a browser that loads a page gets a page', async (t) => {
  for (const accept of BROWSERS) {
    for (const method of ['GET', 'HEAD']) t.ok(prefersHtml(method, { accept }), accept)
    t.notOk(prefersHtml('POST', { accept }), 'a program may say so as well')
    t.ok(prefersHtml('POST', { accept, 'sec-fetch-mode': 'navigate' }), 'a form')
  }
  t.ok(prefersHtml('GET', { accept: '*/*', 'sec-fetch-mode': 'navigate' }))
  t.ok(prefersHtml('GET', { 'sec-fetch-mode': 'navigate' }))
})

t.test('by quality values, the most specific range first', async (t) => {
  for (const [accept, isHtml] of [
    ['text/html', true],
    ['TEXT/HTML; Charset=utf-8', true],
    ['text/*', true],
    ['text/html, */*', false],
    ['text/html;q=0.9, */*;q=0.1', true],
    ['text/html;q=0.5, application/json', false],
    ['text/html, application/json', false],
    ['text/html, application/json;q=0.9', true],
    ['application/problem+json, text/html;q=0.9', false],
    ['application/problem+json;q=0, application/json, text/html;q=0.5', true],
    ['text/html;q=0, text/*', false],
    ['text/html;q=0', false],
    ['text/html;q=2, application/json;q=0.1', false],
    ['text/html;q=x', false],
    ['text/html;level=1', false],
    ['text/*;q=0.3, application/*;q=0.2', true],
    ['text/plain', false],
    ['*/*', false],
    ['', false],
    [',;,q=1', false],
    ['application/json', false],
  ] as const) {
    t.equal(prefersHtml('GET', { accept }), isHtml, accept)
  }
  t.notOk(prefersHtml('GET', {}))
})

t.test('a page is never forced on who takes none', async (t) => {
  t.notOk(prefersHtml('GET', { accept: 'application/json', 'sec-fetch-mode': 'navigate' }))
  t.notOk(prefersHtml('GET', { accept: 'text/html;q=0, */*', 'sec-fetch-mode': 'navigate' }))
  t.notOk(prefersHtml('GET', { accept: '*/*', 'sec-fetch-mode': 'cors' }))
})
