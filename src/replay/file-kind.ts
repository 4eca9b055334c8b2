/** What compresses files, but for gzip, by the first bytes of such a file, and what unpacks it. */
const COMPRESSED: readonly (readonly [name: string, magic: readonly number[], unpack: string])[] = [
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd], 'zstd -dc'],
  ['bzip2', [0x42, 0x5a, 0x68], 'bzip2 -dc'],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], 'xz -dc'],
  ['zip', [0x50, 0x4b, 0x03, 0x04], 'unzip -p'],
]
/** Of the first bytes of a file: text has none of NUL, a log that was cut while it was written may have some. */
const MAX_NULS = 0.1
const LOOKED_AT = 4096

export function isGzip(head: Buffer): boolean {
  return head[0] === 0x1f && head[1] === 0x8b
}

/** Why a file that begins so is no text, and what to do; null where it may be text. */
export function explainBinary(head: Buffer): string | null {
  for (const [name, magic, unpack] of COMPRESSED) {
    if (!magic.every((byte, i) => head[i] === byte)) continue
    return `is compressed by ${name}; write: ${unpack} <file> | sluice replay -`
  }
  const isUtf16 = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)
  if (isUtf16) return 'is UTF-16; write: iconv -f utf-16 -t utf-8 <file> | sluice replay -'
  const looked = head.subarray(0, LOOKED_AT)
  let nuls = 0
  for (const byte of looked) if (byte === 0) nuls++
  return nuls > MAX_NULS * looked.length ? 'is binary, not text; write the name of an access log' : null
}
