import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createPolicySource } from '../../src/policy/source.ts'
import { type WatchOptions, watchFiles } from '../../src/policy/watch.ts'
import { eventually } from '../fixtures/app.ts'

const SECRET = 'a-secret-of-32-bytes-for-tests-00'
const policy = (burst: number, rest = '') =>
  `version: 1\nlimits: [{name: device, per: device, rate: 1/h, burst: ${burst}}]\n${rest}`

/** Watches a policy and notes the burst of each good reading, or that it was bad. No poll comes in time to help. */
function watched(t: Test, file: string, options: Partial<WatchOptions> = {}) {
  const source = createPolicySource(file, {})
  const readings: (number | 'bad')[] = []
  const read = () => {
    try {
      const result = source.read()
      readings.push(result.ok ? result.policy.limits[0]!.burst : 'bad')
    } catch {
      readings.push('bad')
    }
  }
  read()
  const deaf: string[] = []
  const watch = watchFiles({
    files: source.files,
    look: () => {
      if (source.hasChanged()) read()
    },
    onDeaf: (folder) => deaf.push(folder),
    quiet: 20,
    idlePoll: 3_600_000,
    ...options,
  })
  t.teardown(watch.close)
  const until = (...wanted: readonly (number | 'bad')[]) =>
    eventually(`readings ${wanted.join()}, not ${readings.join()}`, () => readings.join() === wanted.join())
  return { readings, until, deaf }
}

/** What has not happened by now does not happen: several times the quiet. */
const longEnough = () => delay(150)

t.test('a change in place is seen, and what says the same again is none', async (t) => {
  const file = join(t.testdir({ 'p.yaml': policy(1) }), 'p.yaml')
  const { until, readings } = watched(t, file)
  writeFileSync(file, policy(2))
  await until(1, 2)
  writeFileSync(file, policy(2))
  await longEnough()
  t.same(readings, [1, 2])
})

t.test('a file that is emptied and written again in steps is read when it is whole', async (t) => {
  const file = join(t.testdir({ 'p.yaml': policy(1) }), 'p.yaml')
  const { until } = watched(t, file, { quiet: 200 })
  const text = policy(2)
  writeFileSync(file, '')
  for (let at = 0; at < text.length; at += 20) {
    writeFileSync(file, text.slice(0, at))
    await delay(5)
  }
  writeFileSync(file, text)
  await until(1, 2)
})

t.test("editors' way: another file takes the name, again and again", async (t) => {
  const folder = t.testdir({ 'p.yaml': policy(1) })
  const file = join(folder, 'p.yaml')
  const { until } = watched(t, file)
  for (const burst of [2, 3, 4]) {
    renameSync(file, join(folder, 'p.yaml~'))
    writeFileSync(join(folder, '.p.swp'), policy(burst))
    renameSync(join(folder, '.p.swp'), file)
    await until(...[1, 2, 3, 4].slice(0, burst))
  }
})

t.test("the kubelet's way: the link ..data is swapped to a new folder, again and again", async (t) => {
  const folder = t.testdir({ '..1': { 'p.yaml': policy(1) } })
  const file = join(folder, 'p.yaml')
  symlinkSync('..1', join(folder, '..data'))
  symlinkSync('..data/p.yaml', file)
  const { until } = watched(t, file)
  for (const burst of [2, 3, 4]) {
    mkdirSync(join(folder, `..${burst}`))
    writeFileSync(join(folder, `..${burst}`, 'p.yaml'), policy(burst))
    symlinkSync(`..${burst}`, join(folder, '..data_tmp'))
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
    rmSync(join(folder, `..${burst - 1}`), { recursive: true })
    await until(...[1, 2, 3, 4].slice(0, burst))
  }
})

t.test('a link to a file elsewhere: the change is seen there too', async (t) => {
  const folder = t.testdir({ elsewhere: { 'p.yaml': policy(1) }, here: {} })
  symlinkSync('../elsewhere/p.yaml', join(folder, 'here/p.yaml'))
  const { until } = watched(t, join(folder, 'here/p.yaml'))
  writeFileSync(join(folder, 'elsewhere/p.yaml'), policy(2))
  await until(1, 2)
})

t.test('a file that goes is bad news, and good again when it is back, even with the old text', async (t) => {
  const file = join(t.testdir({ 'p.yaml': policy(1) }), 'p.yaml')
  const { until } = watched(t, file)
  unlinkSync(file)
  await until(1, 'bad')
  writeFileSync(file, policy(1))
  await until(1, 'bad', 1)
})

t.test('a folder that goes and comes back is watched again', async (t) => {
  const folder = join(t.testdir({ etc: { 'p.yaml': policy(1) } }), 'etc')
  const file = join(folder, 'p.yaml')
  const { until, deaf } = watched(t, file, { poll: 50 })
  rmSync(folder, { recursive: true })
  await until(1, 'bad')
  await eventually('it is told that nobody listens', () => deaf.length === 1)
  mkdirSync(folder)
  writeFileSync(file, policy(2))
  await until(1, 'bad', 2)
  await delay(200)
  writeFileSync(file, policy(3))
  await until(1, 'bad', 2, 3)
  t.equal(deaf.length, 1)
})

t.test('the files that a policy names are watched in their folders', async (t) => {
  const folder = t.testdir({
    'p.yaml': policy(1, 'identity: {secret_file: secrets/key}\nrefuse: {body_file: body.txt}\n'),
    'body.txt': 'no',
    secrets: { key: SECRET },
  })
  const { until } = watched(t, join(folder, 'p.yaml'))
  writeFileSync(join(folder, 'body.txt'), 'not now')
  await until(1, 1)
  writeFileSync(join(folder, 'secrets/key'), `${SECRET}1`)
  await until(1, 1, 1)
  unlinkSync(join(folder, 'secrets/key'))
  await until(1, 1, 1, 'bad')
  writeFileSync(join(folder, 'secrets/key'), SECRET)
  await until(1, 1, 1, 'bad', 1)
})

t.test('where no folder can be watched it looks by the clock, and says so once', async (t) => {
  for (const code of ['EMFILE', 'ENOSPC']) {
    const file = join(t.testdir({ 'p.yaml': policy(1) }), 'p.yaml')
    const { until, deaf } = watched(t, file, {
      poll: 50,
      open() {
        throw Object.assign(new Error(code), { code })
      },
    })
    for (const burst of [2, 3]) {
      writeFileSync(file, policy(burst))
      await until(...[1, 2, 3].slice(0, burst))
    }
    t.equal(deaf.length, 1)
  }
})

t.test('what no event tells is found in the end: a folder on a network', async (t) => {
  const file = join(t.testdir({ 'p.yaml': policy(1) }), 'p.yaml')
  const { until, deaf } = watched(t, file, {
    idlePoll: 50,
    open: () => ({ on() {}, close() {} }) as never,
  })
  writeFileSync(file, policy(2))
  await until(1, 2)
  t.same(deaf, [])
})

t.test('a policy that came through a pipe is not asked for again', async (t) => {
  const source = createPolicySource('/dev/null', {})
  t.notOk(source.read().ok)
  t.notOk(source.hasChanged())
  t.throws(() => source.read(), { code: 'policy_unreadable', message: /not a regular file/ })
})

t.test('nothing is looked at after the close', async (t) => {
  const file = join(t.testdir({ 'p.yaml': policy(1) }), 'p.yaml')
  let looks = 0
  const watch = watchFiles({ files: () => [file], look: () => looks++, onDeaf() {}, quiet: 10, idlePoll: 10 })
  writeFileSync(file, policy(2))
  watch.close()
  await longEnough()
  t.equal(looks, 0)
})
