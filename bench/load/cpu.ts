import { readdirSync, readFileSync } from 'node:fs'

/** Ticks of a second in /proc (USER_HZ, 100 on every Linux that Node runs on). */
const TICKS = 100

/** CPU seconds, user and system, that a process and its children have spent so far: the living ones, and those it has waited for. */
export function cpuSeconds(pid: number): number {
  const processes = new Map<number, Stat>()
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? readStat(Number(name)) : null
    if (stat !== null) processes.set(Number(name), stat)
  }
  let ticks = 0
  for (const [id, stat] of processes) if (isWithin(pid, id, processes)) ticks += stat.ticks
  return ticks / TICKS
}

/** Bytes of a process that are in memory. */
export function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024
}

type Stat = { readonly parent: number; readonly ticks: number }

function isWithin(root: number, pid: number, processes: ReadonlyMap<number, Stat>): boolean {
  for (let id: number | undefined = pid; id !== undefined; id = processes.get(id)?.parent) if (id === root) return true
  return false
}

/** proc(5): behind the name, which may hold anything, fields 4 (parent) and 14 to 17 (utime, stime, cutime, cstime). */
function readStat(pid: number): Stat | null {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    // Gone since the folder was listed.
    return null
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
  return { parent: Number(fields[1]), ticks }
}
