import { Readable } from 'node:stream'
import t from 'tap'
import { hashKey } from '../../src/commands/hash-key.ts'
import { readKeyHashes } from '../../src/policy/key-hashes.ts'

async function run(key: string | Buffer, ...args: string[]) {
  const said = { out: '', err: '' }
  const code = await hashKey(args, {
    env: {},
    input: Readable.from([Buffer.from(key as string)]),
    out: (text) => {
      said.out += text
    },
    err: (text) => {
      said.err += text
    },
  })
  return { code, ...said }
}

// printf %s abc | sha256sum
const ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'

t.test('a key becomes a line that the hashes file takes', async (t) => {
  t.same(await run('abc', 'acme'), { code: 0, out: `sha256:${ABC} acme\n`, err: '' })
  t.same(await run('abc\n'), { code: 0, out: `sha256:${ABC}\n`, err: '' })
  t.same(await run('abc\r\n'), { code: 0, out: `sha256:${ABC}\n`, err: '' })
  const { principals } = readKeyHashes((await run('abc', 'acme')).out)
  t.same([...principals], [[ABC, 'acme']])
})

t.test('what no header can carry is no key, and is not shown', async (t) => {
  for (const key of ['', '\n', ' canary', 'canary ', 'can\nary', 'can\0ary', 'c'.repeat(70_000)]) {
    const { code, out, err } = await run(key)
    t.equal(code, 1)
    t.equal(out, '')
    t.match(err, /not a key that a header can carry/)
    t.notMatch(err, /can.?ary|ccc/s)
  }
})

t.test('a name that cannot be logged, and wrong usage, are told', async (t) => {
  t.match(await run('abc', 'a b'), { code: 1, err: /more than a hash and a name|cannot be logged/ })
  t.match(await run('abc', 'a', 'b'), { code: 2, err: /^usage:/ })
  t.match(await run('abc', '--key'), { code: 2, err: /^sluice: --key is not an option .*\nusage:/ })
})
