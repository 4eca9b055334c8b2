import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export type WrkResult = {
  readonly requests: number
  readonly us: number
  /** Answers of 400 and above. */
  readonly statusErrors: number
  readonly socketErrors: number
  readonly p50Us: number
  readonly p99Us: number
}

export type WrkOptions = {
  readonly seconds: number
  /** A file of clients (an address and a cookie each line), or `spread:N`. */
  readonly clients: string
  readonly connections?: number
  /** What a connection waits between two requests, milliseconds on average. */
  readonly pause?: number
}

const SCRIPT = 'bench/load/wrk.lua'

/** Loads a server on the loopback with wrk, on one thread. */
export async function runWrk(port: number, options: WrkOptions): Promise<WrkResult> {
  const { seconds, clients, connections = 64, pause = 0 } = options
  const load = ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', SCRIPT, `http://127.0.0.1:${port}/`]
  const { stdout } = await promisify(execFile)('wrk', [...load, '--', clients, String(pause)])
  const line = stdout.split('\n').find((text) => text.startsWith('{'))
  if (line === undefined) throw new Error(`wrk told no result:\n${stdout}`)
  return JSON.parse(line) as WrkResult
}
