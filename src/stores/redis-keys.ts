/** Names what is kept under a name for an id: `<prefix><name>:<id>`, on a cluster `<prefix>{<tag>}<name>:<id>`. */
export type RedisKeys = {
  /** What stands before the id: the same for two keys only where name and, on a cluster, tag are the same. */
  place(name: string, tag: string): string
  key(place: string, id: string): string | Buffer
}

const PSEUDONYM = /^[\w-]{22}$/

export function createRedisKeys(keyPrefix: string, isCluster: boolean): RedisKeys {
  return {
    place: (name, tag) => (isCluster ? `${keyPrefix}{${tag}}${name}:` : `${keyPrefix}${name}:`),
    key(place, id) {
      if (!PSEUDONYM.test(id)) return place + id
      const key = Buffer.allocUnsafe(Buffer.byteLength(place) + 12)
      key.write(id.slice(0, 16), key.write(place), 'base64url')
      return key
    },
  }
}

/** Of a pseudonym (22 characters of base64url) the first 96 bits: no two meet, and a million keys are 20 MB smaller. */
export function bytesOf(id: string): Buffer {
  return PSEUDONYM.test(id) ? Buffer.from(id.slice(0, 16), 'base64url') : Buffer.from(id)
}
