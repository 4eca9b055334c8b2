import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { fieldsOf, lowerCaseName } from '../../src/http/fields.ts'

t.test('a name is in lower case, however often and in whichever spelling it comes', async (t) => {
  for (const name of ['Content-Type', 'CONTENT-TYPE', 'content-type', 'Content-Type']) {
    t.equal(lowerCaseName(name), 'content-type')
  }
  t.equal(lowerCaseName('__PROTO__'), '__proto__')
  t.equal(lowerCaseName('X'.repeat(5000)), 'x'.repeat(5000))
  t.same(fieldsOf(['A-B', '1', 'a-B', '2']), { fields: ['A-B', '1', 'a-B', '2'], names: ['a-b', 'a-b'] })
})

t.test('names that clients make up fill no memory, nor do the headers they stood in', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const before = process.memoryUsage().heapUsed
  for (let n = 0; n < 20_000; n++) {
    const header = Buffer.alloc(32 * 1024, `X-Made-Up-Name-${n}: 1\r\n`).toString('latin1')
    const name = header.slice(0, header.indexOf(':'))
    if (lowerCaseName(name) !== `x-made-up-name-${n}`) t.fail(name)
  }
  collect()
  const grown = process.memoryUsage().heapUsed - before
  t.ok(grown < 8 * 1024 * 1024, `grew by ${grown} bytes`)
  t.equal(lowerCaseName('Still-Read'), 'still-read')
})
