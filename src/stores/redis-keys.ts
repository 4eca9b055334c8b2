/** Names what is kept under a name for an id: `<prefix><name>:<id>`, on a cluster `<prefix>{<tag>}<name>:<id>`. */
export type RedisKeys = {
  /** What stands before the id: the same for two keys only where name and, on a cluster, tag are the same. */
  place(name: string, tag: string): string
  key(place: string, id: string): string | Buffer
}

const PSEUDONYM = /^[\w-]{22}$/
/** What is kept of a pseudonym: its first 96 bits. No two meet, and a million keys are 20 MB smaller. */
const KEPT_CHARACTERS = 16
const KEPT_BYTES = 12

export function createRedisKeys(keyPrefix: string, isCluster: boolean): RedisKeys {
  return {
    place: (name, tag) => (isCluster ? `${keyPrefix}{${tag}}${name}:` : `${keyPrefix}${name}:`),
    key(place, id) {
      if (!PSEUDONYM.test(id)) return place + id
      const key = Buffer.allocUnsafe(Buffer.byteLength(place) + KEPT_BYTES)
      key.write(id.slice(0, KEPT_CHARACTERS), key.write(place), 'base64url')
      return key
    },
  }
}

/** What of an id is kept in Redis, as it ends a key. */
export function bytesOf(id: string): Buffer {
  return PSEUDONYM.test(id) ? Buffer.from(id.slice(0, KEPT_CHARACTERS), 'base64url') : Buffer.from(id)
}
