/** Every failure that Sluice itself reports to its caller, by a closed code. */
export type ErrorCode =
  | 'policy_invalid' // the policy has problems; `problems` lists all of them
  | 'policy_unreadable' // the policy file cannot be read
  | 'log_unreadable' // an access log cannot be opened, read or unpacked
  | 'usage' // the command line is wrong
  | 'listen_failed' // an address cannot be listened on
  | 'store_unavailable' // the shared store did not answer properly or in time
  | 'queue_unavailable' // the demo's queue did not answer properly or in time

/** The one error class: a code to branch on, a message that gives the value, the rule and the fix. */
export class SluiceError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'SluiceError'
    this.code = code
  }
}
