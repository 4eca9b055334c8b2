import { execFileSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { IS_PINNED } from './load/process.ts'

/** What the benchmark runs, as the file that must be there, with its Debian package. */
const TOOLS = [
  { file: 'wrk', name: 'wrk' },
  { file: 'nginx', name: 'nginx' },
  { file: 'haproxy', name: 'haproxy' },
  { file: 'redis-server', name: 'redis-server' },
  { file: '/usr/lib/nginx/modules/ngx_http_lua_module.so', name: 'libnginx-mod-http-lua' },
  ...(IS_PINNED ? [{ file: 'taskset', name: 'util-linux' }] : []),
]

const PEERS = 'bench/peers'

/** Installs what is missing, as root on Debian; else throws and says what to install. */
export function installTools(): void {
  const missing = missingPackages()
  if (missing.length === 0) return
  const isRoot = process.getuid?.() === 0 && isThere('apt-get')
  const wanted = missing.join(' ')
  if (!isRoot) throw new Error(`The benchmark needs what is not here. On Debian: sudo apt-get install ${wanted}`)
  process.stderr.write(`Installing what the benchmark needs: ${wanted}\n`)
  const stdio = ['ignore', 'ignore', 'inherit'] as const
  execFileSync('apt-get', ['update', '-qq'], { stdio: [...stdio] })
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], { stdio: [...stdio], env })
  const still = missingPackages()
  if (still.length > 0)
    throw new Error(`apt-get has installed ${still.join(' ')}, and what is needed of it is not there`)
}

/** Installs the Node peers, whose packages are none of Sluice's own. */
export function installPeers(): void {
  if (existsSync(join(PEERS, 'node_modules/.package-lock.json'))) return
  process.stderr.write('Installing the peers that run on Node\n')
  execFileSync('npm', ['ci', '--silent', '--ignore-scripts'], { cwd: PEERS, stdio: ['ignore', 'ignore', 'inherit'] })
}

function missingPackages(): string[] {
  return TOOLS.filter(({ file }) => !isThere(file)).map(({ name }) => name)
}

function isThere(file: string): boolean {
  // Debian has its servers where only root's path leads.
  const folders = file.startsWith('/') ? [''] : [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
  return folders.some((folder) => {
    try {
      accessSync(join(folder, file), constants.R_OK)
      return true
    } catch {
      return false
    }
  })
}
