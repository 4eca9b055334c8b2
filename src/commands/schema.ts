import { jsonSchema } from '../policy/json-schema.ts'
import type { CommandIo, ExitCode } from './command.ts'

/** `sluice schema`: prints the JSON Schema of the policy file, as committed in config/schema.json. 2 for wrong usage. */
export async function schema(args: readonly string[], io: CommandIo): Promise<ExitCode> {
  if (args.length > 0) {
    io.err('usage: sluice schema\n')
    return 2
  }
  io.out(schemaText())
  return 0
}

/** The text of config/schema.json. */
export function schemaText(): string {
  return `${JSON.stringify(jsonSchema(), null, 2)}\n`
}
