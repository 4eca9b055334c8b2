/**
 * The fixed proportions of a `per: device` limit's shared pools (rate r and burst B are the limit's own; m counts a network's
 * live members, W sums their weights). What an operator may set stands in the policy instead.
 */
export const FACTORS = {
  /** A class gains this share of r and B for each member: an unproved device in a proved network is not squeezed. */
  classPerMember: { num: 1, den: 20 },
  /** Newcomers: 5r and 2B by default, and this share of r for each member. */
  newcomersRate: 5,
  newcomersBurst: 2,
  newcomersPerMember: { num: 1, den: 50 },
  /** Members: 10r by default, and this share of r for each unit of W; burst 3B and this share of B for each unit of W. */
  membersRate: 10,
  membersPerWeight: { num: 1, den: 4 },
  membersBurst: 3,
  membersBurstPerWeight: { num: 1, den: 20 },
  /** Seconds of its rate that the members' pool holds at least. */
  membersSeconds: 2,
  /** What of the newcomers' burst is kept for classes that are known, once there are members. */
  knownReserve: 1 / 2,
  /** What of the members' burst above B is kept for the aged. */
  agedReserve: 1 / 4,
  /** A new member takes this share of its class's tokens along, and has at least this many. */
  debutShare: 1 / 4,
  debutTokens: 3,
  /** How many times faster validly signed cookies that are no longer fresh are admitted. */
  laneWidth: 10,
} as const
