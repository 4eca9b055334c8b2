import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { SluiceError } from '../errors.ts'

/** What a script runs: `start` gives the line to print when it has started. */
export type Running = { start(): Promise<string>; close(): Promise<void> }

/**
 * Runs what `open` gives until SIGTERM or SIGINT, then exits 0; what hinders its start is one line, and exit 1. Does nothing
 * where the module (its `import.meta.url`) is not the script that was called. The entry point hands its process over.
 */
export async function runScript(
  host: NodeJS.Process,
  module: string,
  open: () => Running | Promise<Running>,
): Promise<void> {
  const script = host.argv[1]
  if (script === undefined || realpathSync(script) !== fileURLToPath(module)) return
  try {
    const running = await open()
    closeOnSignal(host, running)
    host.stdout.write(`${await running.start()}\n`)
  } catch (error) {
    const text = error instanceof SluiceError ? error.message : String(error instanceof Error ? error.stack : error)
    host.stderr.write(`demo: ${text}\n`)
    host.exitCode = 1
  }
}

function closeOnSignal(host: NodeJS.Process, { close }: Running): void {
  let stopping = false
  function stop(): void {
    // The second signal does not wait.
    if (stopping) host.exit(1)
    stopping = true
    void close().then(() => host.exit(0))
  }
  host.on('SIGTERM', stop)
  host.on('SIGINT', stop)
}
