/** Bytes that mean something in the syntax of HTTP/1.1, and the classes that its rules name. */
export const HTAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SPACE = 0x20
export const COLON = 0x3a

/** 1 for the characters of a token (RFC 9110 section 5.6.2). */
export const IS_TOKEN = tableOf((code) => /[\w!#$%&'*+\-.^`|~]/.test(String.fromCharCode(code)) && code < 0x7f)

/** 1 for what may stand in a header's value (RFC 9110 section 5.5) or a reason phrase (RFC 9112 section 4). */
export const IS_TEXT = tableOf((code) => code === HTAB || (code >= SPACE && code !== 0x7f))

/** 1 for what may stand in a request target: visible characters, and bytes above ASCII, which some clients do not encode. */
export const IS_TARGET = tableOf((code) => code > SPACE && code !== 0x7f)

export function isSpace(code: number): boolean {
  return code === SPACE || code === HTAB
}

function tableOf(holds: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (holds(code) ? 1 : 0))
}
