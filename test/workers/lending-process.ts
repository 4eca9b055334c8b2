import type { Debit } from '../../src/limiter/store.ts'
import { createChannel } from '../../src/workers/channel.ts'
import { createLending, type Loans } from '../../src/workers/lending.ts'
import type { Spending } from '../../src/workers/questions.ts'
import { T0 } from '../contracts/store.ts'

/** A process that lends, on a clock that its parent sets. */
let us = T0
let loans: Loans

function begin(): void {
  us = T0
  loans = createLending({ maxBuckets: 1_000_000, clock: { nowUs: () => us } }).open()
}

begin()
createChannel(process, {
  charge: (requests: readonly (readonly Debit[])[], spent: readonly Spending[]) => loans.charge(requests, spent),
  setClock(to: number) {
    us = to
  },
  begin,
})
