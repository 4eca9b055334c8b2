import { ask } from '../load/clients.ts'
import { type Contender, type Surroundings, TWO } from './contender.ts'
import { BODY } from './nginx.ts'

/**
 * Asks a contender before it is timed, and throws where it is not what it is taken for: it must hand on the upstream's answer,
 * show what is left where it claims to, and, given two requests a client, refuse the third of one client and no other's.
 */
export async function checkContender(contender: Contender, port: number, around: Surroundings): Promise<void> {
  const { name, limits, status = 200 } = contender
  function expect(what: string, found: unknown, expected: unknown): void {
    if (found !== expected) throw new Error(`${name}: ${what} is ${found}, not ${expected}`)
  }

  async function expectAnswer(at: number, address: string): Promise<void> {
    const answer = await ask(at, address)
    expect('the status', answer.status, 200)
    expect('the body', answer.body, BODY)
    if (limits !== null && limits.field !== null) {
      expect(`the field ${limits.field}`, typeof answer.fields[limits.field], 'string')
    }
  }

  if (status === 200) await expectAnswer(port, '198.51.100.1')
  if (limits === null) return
  const strict = await contender.start(around, TWO)
  try {
    for (let nth = 1; nth <= 2; nth++) await expectAnswer(strict.port, '198.51.100.2')
    expect('the status of the third request', (await ask(strict.port, '198.51.100.2')).status, limits.refusal)
    await expectAnswer(strict.port, '198.51.100.3')
  } finally {
    await strict.stop()
  }
}
