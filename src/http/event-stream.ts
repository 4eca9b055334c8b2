import type { Fields } from './fields.ts'

/** Whether a response is an event stream (HTML standard, server-sent events): it lasts, and may be silent for long. */
export function isEventStream({ fields, names }: Fields): boolean {
  const at = names.indexOf('content-type')
  return at !== -1 && /^\s*text\/event-stream\b/i.test(fields[2 * at + 1]!)
}
