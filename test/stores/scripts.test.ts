import { readFileSync } from 'node:fs'
import t from 'tap'

/** What Redis 7, Valkey and Dragonfly (which has Lua 5.4) all have, and mean the same by. */
const COMMANDS = ['TIME', 'GET', 'SET', 'PEXPIRE', 'ZADD', 'ZCARD', 'ZSCORE', 'ZREMRANGEBYSCORE']
const FUNCTIONS = [
  ...['redis.call', 'redis.pcall', 'string.format', 'struct.pack', 'struct.unpack'],
  ...['math.ceil', 'math.floor', 'math.max', 'math.min', 'tonumber', 'type', 'pairs'],
]

for (const name of ['charge.lua', 'members.lua']) {
  t.test(`${name} needs no more of a server than those that speak the protocol of Redis have`, async (t) => {
    const code = readFileSync(new URL(`../../src/stores/${name}`, import.meta.url), 'utf8').replace(/--.*$/gm, '')
    const commands = [...code.matchAll(/redis\.p?call\('(\w+)'/g)].map(([, command]) => command!)
    const own = [...code.matchAll(/function (\w+)\(/g)].map(([, local]) => local!)
    const called = [...code.matchAll(/\b([a-z_]+(?:\.[a-z_]+)?)\(/g)].map(([, called]) => called!)
    const functions = called.filter(
      (called) => !own.includes(called) && !['if', 'and', 'or', 'not', 'while'].includes(called),
    )
    t.ok(commands.length > 2 && functions.length > 5)
    t.equal(commands.length, functions.filter((one) => one.startsWith('redis.')).length, 'every command is seen')
    t.same(
      commands.filter((command) => !COMMANDS.includes(command)),
      [],
    )
    t.same(
      functions.filter((one) => !FUNCTIONS.includes(one)),
      [],
    )
  })
}
