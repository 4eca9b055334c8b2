import { SluiceError } from '../errors.ts'
import { nearest } from '../policy/nearest.ts'
import { either } from '../policy/show.ts'

/** What the help of each command says. */
const COMMANDS: Readonly<Record<string, string>> = {
  serve: `usage: sluice [serve] [-c file]

Runs the proxy. Without a file (or SLUICE_CONFIG) the default policy holds.

  -c, --config file   the policy file; watched, and read again when it changes or at SIGHUP
`,
  check: `usage: sluice check [--json] <file>...
       sluice check --print [<file>...]

Lists every problem of policy files, with line, column and what to write; ends with 1 where there is one.

  --json              the problems as JSON
  --print             the policies as they would be in force, each value with its origin
`,
  explain: `usage: sluice explain [-c file | --admin url] [-X method] [-H 'Name: value']... [--from address] <path or URL>
       sluice explain [-c file | --admin url] --request <file or ->
       sluice explain --admin url <request id of a rejection>

Says which limits, identity and buckets a request meets, and why; charges nothing.

  -c, --config file   the policy file
  --admin url         ask a running proxy by its admin port; SLUICE_ADMIN_TOKEN is sent with it
  -X, --method word   the request's method; -H, --header 'Name: value' adds a header
  --from address      the address that would connect
  --request file      the request as JSON; - is standard input
  --json              the explanation as JSON
`,
  replay: `usage: sluice replay <access log...> [--policy file] [--against file] [--format name] [--fail-over 0.1%]
                     [--max-unreadable 10%] [--top n] [--json] [--refusals file]

Says who would have been rejected, by access logs of nginx, Apache, Caddy, Traefik, Envoy or of Sluice itself; - is standard input.

  --policy file       the policy to try; --against file: another one to compare it with
  --format name       the format of the logs, where it cannot be told
  --fail-over share   end with 1 where more requests than that would have been rejected
  --max-unreadable share   end with 1 where more lines than that cannot be read
  --top n             how many clients to list
  --json              the report as JSON; --refusals file: each rejection as a line of JSON
`,
  schema: 'usage: sluice schema\n\nPrints the JSON Schema of the policy format.\n',
  'hash-key': `usage: printf %s "$KEY" | sluice hash-key [name]

Reads an API key from standard input and prints its line for hashes_file.
`,
  version: 'usage: sluice version\n\nPrints the version.\n',
}

/** The help of a command; undefined where it is none. */
export function usageOf(command: string): string | undefined {
  return Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined
}

/** Whether the arguments ask for help. What stands behind -- is no option. */
export function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return (end === -1 ? args : args.slice(0, end)).some((arg) => arg === '-h' || arg === '--help')
}

/** What to say of a word that is no command. */
export function unknownCommand(word: string): SluiceError {
  const names = Object.keys(COMMANDS)
  return new SluiceError('usage', `'${word}' is not a command; write ${nearest(word, names) ?? either(names)}`)
}

/** What to say of an option that node:util's parseArgs does not know, given those that it does; its own message of anything else. */
export function unknownOption(cause: unknown, command: string, options: Readonly<Record<string, unknown>>): string {
  const { code, message } = cause as Error & { readonly code?: string }
  const option = /'(-[^' ]*)'/.exec(message)?.[1]
  if (code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION' || option === undefined) return message
  const known = [...Object.keys(options).map((name) => `--${name}`), '--help']
  const [plain] = option.split('=')
  return `${plain} is not an option of sluice ${command}; write ${nearest(plain!, known) ?? either(known)}`
}
