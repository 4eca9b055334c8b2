import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import t from 'tap'
import { createLineSink } from '../src/line-sink.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A stream that takes a write when it is told to, or fails it. */
function slowStream() {
  const taken: string[] = []
  let pending: ((cause?: Error) => void) | null = null
  const stream = new Writable({
    decodeStrings: false,
    autoDestroy: false,
    write(text, _, done) {
      taken.push(String(text))
      pending = done
    },
  })
  return {
    stream,
    taken,
    finish(cause?: Error) {
      const done = pending
      pending = null
      done?.(cause)
    },
  }
}

t.test('the lines of one turn are one write', async (t) => {
  const { stream, taken } = slowStream()
  const sink = createLineSink(stream)
  sink.write('a\n')
  sink.write('b\n')
  t.same(taken, [])
  await turn()
  t.same(taken, ['a\nb\n'])
})

t.test('what waits is bounded; beyond it lines are counted, and taken again once the reader reads', async (t) => {
  const { stream, taken, finish } = slowStream()
  const sink = createLineSink(stream)
  const line = `${'x'.repeat(1023)}\n`
  for (let i = 0; i < 3000; i++) {
    sink.write(line)
    if (i % 100 === 0) await turn()
  }
  await turn()
  t.ok(stream.writableLength <= 1024 * 1025)
  t.equal(sink.dropped(), 3000 - stream.writableLength / 1024)
  const dropped = sink.dropped()
  while (stream.writableLength > 0) {
    finish()
    await turn()
  }
  t.equal(taken.join('').length / 1024, 3000 - dropped, 'each line is either taken or counted')
  sink.write('more\n')
  await turn()
  t.equal(taken.at(-1), 'more\n')
  t.equal(sink.dropped(), dropped)
})

t.test('a write that fails counts its lines', async (t) => {
  const { stream, finish } = slowStream()
  const sink = createLineSink(stream)
  sink.write('a\n')
  sink.write('b\n')
  await turn()
  finish(Object.assign(new Error('gone'), { code: 'EPIPE' }))
  await turn()
  t.equal(sink.dropped(), 2)
})

t.test('end waits for the reader, but not for ever', async (t) => {
  const { stream, taken, finish } = slowStream()
  const sink = createLineSink(stream)
  sink.write('last\n')
  const began = performance.now()
  await sink.end(50)
  t.ok(performance.now() - began >= 45)
  t.same(taken, ['last\n'])
  setTimeout(finish, 20)
  await sink.end(10_000)
  t.ok(performance.now() - began < 5000)
})

t.test('a file gets every line, a full one counts them and tears none of the next', async (t) => {
  const name = join(t.testdir({}), 'log')
  const fd = openSync(name, 'w')
  const sink = createLineSink(Object.assign(slowStream().stream, { fd }))
  sink.write('a\n')
  sink.write('b\n')
  sink.flush()
  t.equal(readFileSync(name, 'utf8'), 'a\nb\n')
  closeSync(fd)
  const full = openSync('/dev/full', 'w')
  const none = createLineSink(Object.assign(slowStream().stream, { fd: full }))
  none.write('a\n')
  none.write('b\n')
  none.flush()
  t.equal(none.dropped(), 2)
  closeSync(full)
})

t.test('a disk that fills within a line: the next line begins on its own', async (t) => {
  const name = join(t.testdir({}), 'log')
  // A limit on the file's size is a disk that is full there.
  const script = `
    import { createLineSink } from ${JSON.stringify(new URL('../dist/line-sink.js', import.meta.url).href)}
    import { ftruncateSync, openSync } from 'node:fs'
    const fd = openSync(${JSON.stringify(name)}, 'a')
    const sink = createLineSink({ fd, on() {}, writableLength: 0 })
    process.on('SIGXFSZ', () => {})
    sink.write('x'.repeat(600) + '\\n' + 'y'.repeat(600) + '\\n')
    sink.flush()
    ftruncateSync(fd, 700)
    sink.write('next\\n')
    sink.flush()
    process.stdout.write(String(sink.dropped()))
  `
  const { stdout } = spawnSync(
    'bash',
    ['-c', 'ulimit -f 1; exec "$0" --input-type=module -e "$1"', process.execPath, script],
    { encoding: 'utf8', env: { PATH: process.env.PATH } },
  )
  t.equal(stdout, '1')
  t.same(readFileSync(name, 'utf8').split('\n'), ['x'.repeat(600), 'y'.repeat(99), 'next', ''])
})
