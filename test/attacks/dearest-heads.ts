import { get } from '../fixtures/raw-client.ts'

/** The heads that were found to cost most, as large as they may be. */
export const DEAREST: Readonly<Record<string, string>> = {
  'a path of all readings': get('/;%2F%5C.'.repeat(12)),
  'a path of four readings': get('/a%2F%5C'.repeat(125)),
  'a path of escapes': get(`/${'%41'.repeat(1360)}`),
  'a path of dots': get('/.'.repeat(1020)),
  'a path of letters beyond ASCII': get(`/${'%c3%a9/'.repeat(290)}`),
  'a path of bytes that are no letters': get(`/${'%ff/'.repeat(510)}`),
  'a query of separators': get(`/?${'&'.repeat(8000)}`),
  'many languages': get('/', `Accept-Language: ${Array.from({ length: 2800 }, (_, i) => i.toString(36)).join(',')}`),
  'many types': get('/', `Accept: text/${'a;b=,'.repeat(2800)}`),
  'many cookies': get('/', `Cookie: ${'sluice=; '.repeat(1500)}`),
  'many hops': get('/', `X-Forwarded-For: ${'1.1.1.1,'.repeat(1800)}`),
  'a long token': get('/', `Authorization: Bearer ${'e.'.repeat(7000)}`),
  'a hundred fields': get('/', ...Array.from({ length: 98 }, (_, i) => `X-Field-${i}: ${'v'.repeat(100)}`)),
}
