import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import { serve } from './process.ts'

export const SECRET = 'a secret of the tests that is of 32 bytes or more'

/** The built program with workers on one port, before an upstream that answers `ok`. */
export async function startWorkers(t: Test, limits: string, { workers = '2', server = '', env = {} } = {}) {
  let served = 0
  const upstream = createServer((_, response) => {
    served++
    response.end('ok')
  }).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  t.teardown(() => {
    upstream.close()
    upstream.closeAllConnections()
  })
  const policy = (rules: string) => `version: 1\nserver: {workers: ${workers}${server}}\n${rules}\n`
  const file = join(t.testdir({ 'sluice.yaml': policy(limits) }), 'sluice.yaml')
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
  const proxy = await serve(t, { SLUICE_UPSTREAM: url, SLUICE_SECRET: SECRET, ...env }, ['-c', file])
  const scrape = async () => (await fetch(`${proxy.adminUrl}/metrics`)).text()
  return {
    ...proxy,
    upstream,
    served: () => served,
    write: (rules: string) => writeFileSync(file, policy(rules)),
    pids: () => childrenOf(proxy.child.pid!),
    scrape,
    async metric(name: string): Promise<number> {
      const line = (await scrape()).split('\n').find((one) => one.startsWith(`${name} `))
      return Number(line?.slice(name.length + 1))
    },
    lines: () =>
      proxy
        .output()
        .out.split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown> & { readonly msg: string }),
  }
}

function childrenOf(pid: number): readonly number[] {
  const listed = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return listed.split(' ').filter(Boolean).map(Number)
}

/** Whether both of two workers wrote some of the lines: which of them the kernel gives a connection to is chance, and may be one for a while. */
export function isOfBoth(lines: readonly Readonly<Record<string, unknown>>[]): boolean {
  const workers = new Set(lines.map(({ worker }) => worker))
  return workers.size === 2 && workers.has(1) && workers.has(2)
}

/** One request on a connection of its own: any worker has it. Resolves with its status, 0 where it was cut. */
export function ask(url: string, fields: Readonly<Record<string, string>> = {}): Promise<number> {
  return new Promise((resolve) => {
    const asked = request(url, { agent: false, headers: { 'User-Agent': 'one device', ...fields } }, (answer) => {
      answer.resume().once('close', () => resolve(answer.complete ? answer.statusCode! : 0))
    })
    asked.once('error', () => resolve(0)).end()
  })
}
