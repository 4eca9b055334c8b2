import t from 'tap'
import { isSharedCacheable, readCaching } from '../../src/http/caching.ts'
import { fieldsOf } from '../../src/http/fields.ts'

const EXPIRES = ['Expires', 'Thu, 01 Jan 2099 00:00:00 GMT']
const DATED = ['Last-Modified', 'Thu, 01 Jan 2009 00:00:00 GMT']

function isKept(cacheControl: string, method = 'GET', isAuthorized = false, more: readonly string[] = []): boolean {
  const control = cacheControl === '' ? [] : ['Cache-Control', cacheControl]
  return isSharedCacheable(method, isAuthorized, readCaching(fieldsOf([...control, ...more])))
}

t.test('a shared cache may keep what says so, and what gives it a date to guess from', async (t) => {
  const rows: readonly (readonly [cacheControl: string, withoutDate: boolean, withDate: boolean])[] = [
    ['', false, true],
    ['no-store', false, false],
    ['private', false, false],
    ['Private, max-age=60', false, false],
    ['max-age=60,private', false, false],
    ['max-age=60, no-store', false, false],
    ['public', true, true],
    ['PUBLIC', true, true],
    ['max-age=60', true, true],
    ['Max-Age = 60', true, true],
    ['max-age="60"', true, true],
    ['max-age=060', true, true],
    ['s-maxage=60', true, true],
    ['max-age=0', false, false],
    ['max-age=0, s-maxage=60', true, true],
    ['max-age=60, s-maxage=0', true, true],
    ['s-maxage=0', false, false],
    ['no-cache', false, false],
    ['must-revalidate', true, true],
    // These say nothing of how long: the guess from a date holds.
    ['no-transform', false, true],
    ['immutable', false, true],
    ['stale-while-revalidate=60', false, true],
    // Some fields are private, the answer is not (RFC 9111 section 5.2.2.7).
    ['private="set-cookie", max-age=60', true, true],
    ['private="set-cookie"', false, true],
    // Words that only look alike.
    ['x-private, max-age=60', true, true],
    ['privately, max-age=60', true, true],
    ['x-max-age=60', false, true],
    // Within quotes there are no directives (RFC 9111 section 5.2).
    ['foo="private", max-age=60', true, true],
    ['foo="x, private", max-age=60', true, true],
    ['foo="a\\", no-store", max-age=60', true, true],
    ['foo="public, max-age=60"', false, true],
    ['foo="max-age=60", private', false, false],
    ['no-cache="set-cookie", max-age=60', true, true],
    // Where a quoted string does not end, others see other directives.
    ['foo="private, max-age=0', true, true],
    ['foo=a"b, private', true, true],
  ]
  for (const [cacheControl, withoutDate, withDate] of rows) {
    t.equal(isKept(cacheControl), withoutDate, cacheControl)
    t.equal(isKept(cacheControl, 'HEAD'), withoutDate, `HEAD ${cacheControl}`)
    t.equal(isKept(cacheControl, 'GET', false, EXPIRES), withDate, `${cacheControl}, Expires`)
    t.equal(isKept(cacheControl, 'GET', false, DATED), withDate, `${cacheControl}, dated`)
  }
})

t.test('only the answers to GET and HEAD are kept', async (t) => {
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'get']) {
    t.notOk(isKept('public, max-age=60', method), method)
  }
})

t.test('an answer to credentials is kept only where that is allowed by name', async (t) => {
  const rows: readonly (readonly [cacheControl: string, kept: boolean])[] = [
    ['', false],
    ['max-age=60', false],
    ['no-transform', false],
    ['public', true],
    ['public, max-age=60', true],
    ['s-maxage=60', true],
    ['must-revalidate, max-age=60', true],
    ['s-maxage=0', false],
    ['private, s-maxage=60', false],
    ['no-store, public', false],
  ]
  for (const [cacheControl, kept] of rows) {
    t.equal(isKept(cacheControl, 'GET', true, [...EXPIRES, ...DATED]), kept, cacheControl)
  }
})

t.test('what is said to CDNs alone comes before Cache-Control', async (t) => {
  const names = ['CDN-Cache-Control', 'Cloudflare-CDN-Cache-Control', 'Netlify-CDN-Cache-Control', 'Surrogate-Control']
  for (const name of [...names, 'Edge-Control', 'X-LiteSpeed-Cache-Control']) {
    for (const control of ['', 'private', 'no-store', 'max-age=0']) {
      t.ok(isKept(control, 'GET', false, [name, 'max-age=60']), `${name} beside ${control}`)
      t.notOk(isKept(control, 'GET', false, [name, 'no-store']), `${name}: no-store beside ${control}`)
    }
    t.ok(isKept('max-age=60', 'GET', false, [name, 'no-store']), 'other caches go by Cache-Control')
    t.ok(isKept('private', 'GET', true, [name, 'max-age=60']), 'also where the request has credentials')
    t.notOk(isKept('', 'POST', false, [name, 'max-age=60']))
  }
  for (const value of ['60', '@1893456000']) t.ok(isKept('private', 'GET', false, ['X-Accel-Expires', value]), value)
  t.notOk(isKept('private', 'GET', false, ['X-Accel-Expires', '0']))
  t.notOk(isKept('', 'GET', false, ['Access-Control-Allow-Origin', '*', 'X-DNS-Prefetch-Control', 'on']))
})

t.test('a file with a tag counts as kept, a page and data of an API do not', async (t) => {
  const tagged = (type: string) => isKept('', 'GET', false, ['ETag', '"1"', 'Content-Type', type])
  for (const type of ['text/css', 'image/png', 'application/javascript; charset=utf-8']) t.ok(tagged(type), type)
  for (const type of ['text/html', 'Text/HTML; charset=utf-8', 'application/json', 'application/hal+json']) {
    t.notOk(tagged(type), type)
  }
  t.notOk(isKept('', 'GET', false, ['ETag', '"1"']), 'nor what does not say what it is, as a 304')
})
