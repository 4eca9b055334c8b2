import * as z from 'zod'
import { readCidr } from './address.ts'
import { oneOrMany, plainText, text } from './field.ts'

/** The name of a file, taken relative to the policy file's folder. */
export function fileName() {
  return plainText({ what: "a file's name", write: 'one such as /run/secrets/sluice' }, /^[^\0]+$/)
}

/** Any text that is not empty. */
export function someText() {
  return plainText({ what: 'a text', write: 'one that is not empty, in quotes where it looks like a number' }, /^.+$/s)
}

/** A secret: its problems never show it. Null and the empty text mean none. */
export function secretText() {
  return z.string({ error: 'is not a text; write the secret in quotes' }).nullable()
}

/** A bearer token by RFC 6750, as far as it can be sent. */
export function adminToken() {
  const error = 'is not a text without spaces; write visible ASCII characters, in quotes'
  return z
    .string({ error })
    .regex(/^[\x21-\x7e]*$/, { error })
    .nullable()
}

/** What names an entry in headers, metrics and logs. */
export function entryName() {
  return plainText(
    { what: 'a name', write: '1 to 64 characters of a-z, 0-9, _ and -, such as login' },
    /^[a-z0-9_-]{1,64}$/,
  )
}

/** One network or several. */
export function cidrs() {
  return oneOrMany(text({ what: 'an address or a network', write: 'one such as 10.0.0.0/8' }, /^/, readCidr))
}
