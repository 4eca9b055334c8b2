import { SluiceError } from '../errors.ts'
import { type RollAnswer, type RollCall, roomOf } from '../identity/roll.ts'
import type { RedisClient } from './redis-client.ts'
import { bytesOf, type RedisKeys } from './redis-keys.ts'

const STANDINGS = ['absent', 'fresh', 'aged'] as const

/**
 * Keeps the roll of members in Redis: for each network two sorted sets, by members.lua. No limit's name begins as theirs do.
 * The call rejects with `store_unavailable`.
 */
export function createRedisMembers(client: RedisClient, keys: RedisKeys): (call: RollCall) => Promise<RollAnswer> {
  return async ({ network, id, idle, note }) => {
    const members = keys.place('+members', network.tag)
    const aged = keys.place('+aged', network.tag)
    const names = [network.id, ...network.parents.map((parent) => parent.id)].flatMap((level) => [
      keys.key(members, level),
      keys.key(aged, level),
    ])
    const noted = note === null ? '' : note.isAged ? 'aged' : 'fresh'
    try {
      const [standing, ...counts] = await client.members(names, [idle, bytesOf(id), noted, ...roomOf(network)])
      return {
        standing: STANDINGS[standing!]!,
        counts: roomOf(network).map((_, level) => ({ members: counts[2 * level]!, aged: counts[2 * level + 1]! })),
      }
    } catch (cause) {
      throw new SluiceError('store_unavailable', `redis: ${(cause as Error).message}`, { cause })
    }
  }
}
