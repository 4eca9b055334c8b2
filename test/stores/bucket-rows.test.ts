import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { BucketRows, NO_ROW } from '../../src/stores/bucket-rows.ts'

/** A pseudonym, as the keyring makes them: 128 bits as 22 characters of base64url. */
const pseudonym = (n: number) => createHash('sha256').update(String(n)).digest().subarray(0, 16).toString('base64url')

t.test('does what a Map of tables and ids does, whatever is added and removed', async () => {
  const ids = [
    ...Array.from({ length: 40 }, (_, n) => pseudonym(n)),
    ...['global', '~17', '', 'ünïcödé-of-22-letters!', 'constructor', '__proto__', `${pseudonym(1)}~3`],
    // One bit beside a pseudonym, and one character beside base64url.
    `${pseudonym(1).slice(0, 21)}B`,
    `${pseudonym(1).slice(0, 21)}=`,
    `${pseudonym(1).slice(0, 21)}\u0141`,
  ]
  const step = fc.record({
    table: fc.integer({ min: 0, max: 3 }),
    id: fc.constantFrom(...ids),
    isRemoval: fc.boolean(),
    debt: fc.integer({ min: 0, max: 2 ** 40 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const rows = new BucketRows()
      const model = new Map<string, number>()
      for (const { table, id, isRemoval, debt } of steps) {
        const name = `${table}:${id}`
        const found = rows.find(table, id)
        if ((found === NO_ROW) === model.has(name)) return false
        if (found !== NO_ROW && (rows.debt(found) !== model.get(name) || rows.timeUs(found) !== debtTime(found, rows)))
          return false
        if (isRemoval) {
          if (found !== NO_ROW) rows.remove(found)
          model.delete(name)
        } else {
          const row = found === NO_ROW ? rows.add(table, id) : found
          rows.write(row, debt, debt + 1)
          model.set(name, debt)
        }
        if (rows.size !== model.size) return false
      }
      return [...model].every(([name, debt]) => {
        const at = name.indexOf(':')
        const row = rows.find(Number(name.slice(0, at)), name.slice(at + 1))
        return row !== NO_ROW && rows.debt(row) === debt && rows.tableOf(row) === Number(name.slice(0, at))
      })
    }),
    { seed: 5, numRuns: 400 },
  )
})

function debtTime(row: number, rows: BucketRows): number {
  return rows.debt(row) + 1
}

t.test('finds each of many thousands after it has grown and been emptied by half', async (t) => {
  const rows = new BucketRows()
  for (let n = 0; n < 20_000; n++) rows.write(rows.add(n % 3, pseudonym(n)), n, 2 * n)
  for (let n = 0; n < 20_000; n += 2) rows.remove(rows.find(n % 3, pseudonym(n)))
  t.equal(rows.size, 10_000)
  const { end } = rows
  for (let n = 20_000; n < 30_000; n++) rows.write(rows.add(n % 3, pseudonym(n)), n, 2 * n)
  t.equal(rows.end, end, 'the rows that were given back are used again')
  for (let n = 0; n < 30_000; n++) {
    const row = rows.find(n % 3, pseudonym(n))
    if (n < 20_000 && n % 2 === 0) {
      if (row !== NO_ROW) t.fail(`${n} has come back`)
    } else if (row === NO_ROW || rows.debt(row) !== n || rows.timeUs(row) !== 2 * n) t.fail(`${n} is not what it was`)
    if (rows.find((n + 1) % 3, pseudonym(n)) !== NO_ROW) t.fail(`${n} is in a table that it was not put in`)
  }
})
