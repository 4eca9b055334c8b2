import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { cpuSeconds } from '../../bench/load/cpu.ts'

const BURN = 'while (process.cpuUsage().user < 1_000_000);'
const SAY = "console.log('done');"
const STAY = 'setTimeout(() => {}, 10_000);'

/** What a process has spent when somebody in it says that it is done. */
async function spentBy(code: string): Promise<number> {
  const child = spawn(process.execPath, ['-e', code])
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return cpuSeconds(child.pid!)
}

/** A program that runs another, by a function of node:child_process. */
function running(call: 'spawn' | 'spawnSync', code: string): string {
  return `require('node:child_process').${call}(process.execPath, ['-e', ${JSON.stringify(code)}], { stdio: 'inherit' });`
}

t.test(
  'the CPU time of a process is its own, and its children’s while they live and when they have ended',
  async (t) => {
    const alone = await spentBy(SAY + STAY)
    t.ok((await spentBy(BURN + SAY + STAY)) > alone, 'its own')
    t.ok((await spentBy(running('spawn', BURN + SAY + STAY) + STAY)) > 1.5 * alone, 'of a child that lives')
    t.ok((await spentBy(running('spawnSync', BURN) + SAY + STAY)) > 1.5 * alone, 'of a child that has ended')
  },
)
