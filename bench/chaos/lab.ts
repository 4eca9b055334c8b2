import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Running, serve } from '../../test/e2e/process.ts'
import { startUpstream } from '../simulate/upstream.ts'

/** Undoes, last first, what was opened. */
export type Cleanup = { teardown(close: () => Promise<void> | void): void; close(): Promise<void> }

export type Lab = {
  /** Two instances of the built proxy on one store. */
  readonly proxies: readonly (Running & { readonly url: string; readonly adminUrl: string })[]
  /** By key: when (milliseconds of `performance.now`) the upstream got its requests; that is what was admitted. */
  readonly arrivals: ReadonlyMap<string, readonly number[]>
  /** The instances' metrics as they stand, one text each. */
  scrape(): Promise<readonly string[]>
}

/** Tells the upstream whose request it is. */
export const KEY_FIELD = 'X-Load-Key'

export function createCleanup(): Cleanup {
  const closes: (() => Promise<void> | void)[] = []
  return {
    teardown: (close) => void closes.push(close),
    async close() {
      for (const close of closes.splice(0).reverse()) await close()
    },
  }
}

/** Starts two proxies by a policy (YAML, without listeners, secret and upstream) before an upstream that counts. */
export async function startLab(cleanup: Cleanup, policy: string): Promise<Lab> {
  const arrivals = new Map<string, number[]>()
  const upstream = await startUpstream((head) => {
    const key = /\r\nx-load-key: *([^\r]*)/i.exec(head)?.[1] ?? 'none'
    const times = arrivals.get(key)
    if (times === undefined) arrivals.set(key, [performance.now()])
    else times.push(performance.now())
  })
  cleanup.teardown(upstream.close)
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-'))
  cleanup.teardown(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'sluice.yaml')
  await writeFile(file, policy)
  const env = {
    SLUICE_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
    SLUICE_SECRET: randomBytes(32).toString('hex'),
    SLUICE_TRUSTED_PROXIES: 'loopback',
    SLUICE_LOG_LEVEL: 'info',
  }
  const proxies = await Promise.all([1, 2].map(() => serve(cleanup, env, ['-c', file])))
  return {
    proxies,
    arrivals,
    scrape: () => Promise.all(proxies.map(async ({ adminUrl }) => (await fetch(`${adminUrl}/metrics`)).text())),
  }
}
