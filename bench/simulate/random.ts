export type Random = {
  /** From 0 up to, not including, 1. */
  next(): number
  /** A whole number from 0 up to, not including, `n`. */
  below(n: number): number
  pick<T>(list: readonly T[]): T
  /** `length` characters of base64url. */
  text(length: number): string
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** A stream of numbers that the seed and the name determine: one a purpose, so that one more draw moves no other. (sfc32) */
export function createRandom(seed: number, name: string): Random {
  let a = hash(name)
  let b = seed | 0
  let c = Math.imul(seed + 1, 0x9e3779b9)
  let count = 1

  function next(): number {
    const sum = (((a + b) | 0) + count) | 0
    count = (count + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    return (sum >>> 0) / 4294967296
  }

  const below = (n: number) => Math.floor(next() * n)
  // The first numbers still show how little the seeds differ.
  for (let i = 0; i < 16; i++) next()
  return {
    next,
    below,
    pick: (list) => list[below(list.length)]!,
    text(length) {
      let text = ''
      for (let i = 0; i < length; i++) text += ALPHABET[below(64)]
      return text
    },
  }
}

/** Runs what draws from `Math.random`, as the packages of real header sets do, with our own stream in its place. */
export function drawWith<T>(random: Random, draw: () => T): T {
  const own = Math.random
  Math.random = random.next
  try {
    return draw()
  } finally {
    Math.random = own
  }
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value
}
